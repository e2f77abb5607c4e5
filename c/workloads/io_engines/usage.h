/* SPDX-License-Identifier: Apache-2.0 */
/* What a run uses. */
#ifndef USAGE_H
#define USAGE_H

#include "engine.h"

/* Time, CPU time and bytes between two moments; at one moment, all since the process began. */
struct resources {
	uint64_t elapsed_ns;
	double main_user_s, main_system_s, all_user_s, all_system_s;
	int64_t voluntary_switches, involuntary_switches;
	int64_t device_read_bytes, device_write_bytes;	/* as /proc/self/io says; -1: it does not say */
};

/*
 * Between the two system calls that this makes, the main thread uses a little CPU time, which must not pass for that of
 * another thread. So the time of all threads together is read first at the end of a run, and last at its beginning.
 */
struct resources resources_now(bool threads_first);
void resources_add(struct resources *into, const struct resources *more);

/* From `begin` until now, without the pauses. */
struct resources resources_between(const struct resources *begin, const struct resources *pauses);

#endif
