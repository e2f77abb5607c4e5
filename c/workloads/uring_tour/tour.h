/* SPDX-License-Identifier: Apache-2.0 */
/* What the stops of the tour share: the settings, the report, and the ring. */
#ifndef TOUR_H
#define TOUR_H

#include "workload.h"

#define MAX_BATCH 256
#define MAX_FILE_BYTES 65536

enum { NOPS, FILES, ECHO_, TIMEOUTS };
enum { PLAIN, IO_URING };

extern int stop, how;
extern int64_t ios, batch, file_bytes, message_bytes, step_us;
extern bool cold, with_stat;
extern const char *folder;
extern const char *const stop_names[];

extern uint64_t start_ns;

/* The stops: each waits for "go", works, reports, and returns the exit status. */
int stop_at_nops(void);
int stop_at_files(void);
int stop_at_echo(void);
int stop_at_timeouts(void);

void open_report(int64_t done);
int close_report(void);

#ifdef HAVE_LIBURING
#include <liburing.h>

extern struct io_uring ring;
extern uint64_t enter_calls;

/* A kind of request: its name, and the least result that is a success. user_data holds its index. */
struct kind {
	const char *name;
	int least;
};

void open_ring(unsigned int entries);

/* Submits everything that is noted down and waits until all of it has ended: one system call. */
void submit_and_wait(unsigned int count);

/* Looks at `count` results and gives their places back. After a failure the rest of its chain is cancelled. */
void take_results(unsigned int count, const struct kind *kinds);

unsigned int size_of_batch(int64_t done);
void report_enter_calls(void);
#endif

#endif
