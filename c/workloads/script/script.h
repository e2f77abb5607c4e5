/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the parts of the program "script": an act, who performs it, and what it reports. */
#ifndef SCRIPT_H
#define SCRIPT_H

#include "workload.h"

#define MOST_ACTS 64
#define MOST_ARGUMENTS 3
#define MOST_PIDS 128		/* that one act can report */

/* What became of an act. In memory that is shared with child processes. */
struct result {
	int64_t pid, tid;
	int64_t fd;		/* that it used; -1: none */
	int64_t done, failed, bytes;
	uint64_t elapsed_ns;	/* measured around the calls, so the probes' own time is in it */
	int64_t pid_count;
	int64_t pids[MOST_PIDS];	/* of the processes that it started */
};

struct act;
typedef void perform(const struct act *act, struct result *result);

struct act {
	perform *perform;
	const char *name;
	int64_t times;
	int64_t arguments[MOST_ARGUMENTS];
	struct result *result;
};

struct act_kind {
	const char *name;
	perform *perform;
	const char *help;
};

extern const struct act_kind process_acts[], file_acts[], function_acts[], ring_acts[];	/* end with NULL */

/* What this program does as the program that act "run" starts; `code` is its exit status. */
int be_run(const char *code);

#endif
