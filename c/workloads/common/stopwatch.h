/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clock for very short durations, in nanoseconds.
 *
 * clock_gettime() waits until all that was begun before has ended, reads the
 * processor's time-stamp counter and converts it. Where the kernel itself trusts
 * the counter to run evenly on all CPUs, we may read it without waiting: a third
 * of the time, which matters when the I/O takes half a microsecond. Elsewhere
 * this is clock_gettime().
 *
 * Only differences mean something: against CLOCK_MONOTONIC it may be off by some
 * microseconds a second, less than 0.01 %.
 */
#ifndef STOPWATCH_H
#define STOPWATCH_H

#include "workload.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#define STOPWATCH_TICKS() __rdtsc()
#else
#define STOPWATCH_TICKS() now_ns()
#endif

extern uint64_t stopwatch_scale;	/* nanoseconds per tick, times 2^32; 0: take clock_gettime() */

/* Call once, before the first stopwatch_ns(): takes 10 ms to see how long a tick is. */
void stopwatch_calibrate(void);

static inline uint64_t stopwatch_ns(void)
{
	if (!stopwatch_scale)
		return now_ns();
	return (uint64_t)(((unsigned __int128)STOPWATCH_TICKS() * stopwatch_scale) >> 32);
}

#endif
