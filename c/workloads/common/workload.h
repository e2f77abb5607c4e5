/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every workload of the lab has in common.
 *
 *	set everything up
 *	print "ready" on stdout			<- probes are attached here
 *	wait for "go" on stdin
 *	do the work
 *	print one JSON line on stdout
 *
 * stderr is for people. The exit status is 0, 1 (failed: line one says what,
 * line two how to fix it) or 77 (cannot run on this machine: the last line
 * says why). End of file instead of "go" ends the program quietly.
 *
 *	static int64_t runs = 23;
 *	static const struct option_row options[] = {
 *		OPTION_INTEGER("runs", &runs, 1, 100000, "runs", "how many programs to run"),
 *		OPTIONS_END
 *	};
 *
 *	int main(int argc, char **argv)
 *	{
 *		workload_begin(argc, argv, "Runs a program again and again.", options);
 *		... set up ...
 *		if (!workload_ready())
 *			return 0;
 *		... work, until done or workload_stopped ...
 *		json_open(NULL, '{');
 *		json_integer("runs", done);
 *		json_close('}');
 *		return workload_end();
 *	}
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "options.h"

#define NS_PER_S 1000000000ull

#ifdef __cplusplus
extern "C" {
#endif

/* Set by SIGTERM and SIGINT. A work loop looks at it and ends early. */
extern volatile sig_atomic_t workload_stopped;

/* The clock of bpf_ktime_get_ns() too: times of program and kernel compare. */
static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Sleeps; a signal ends the sleep early. */
void sleep_us(int64_t microseconds);

/*
 * Ends this process when the thread that started it ends, however that happens.
 * A process that forks another gives its own id; it may have ended already.
 */
void workload_die_with_parent(pid_t parent);

/* `option` is the one that named the CPU. */
void workload_pin(int cpu, const char *option);
void workload_begin(int argc, char **argv, const char *about, const struct option_row *rows);

/*
 * Says "ready" and waits for "go". Returns false when the program must leave
 * quietly: end of file, or a signal.
 */
bool workload_ready(void);

/* Ends the JSON line. The exit status of main. */
int workload_end(void);

#ifdef __cplusplus
}
#endif

#endif
