/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clock for very short durations, in nanoseconds.
 *
 * clock_gettime() waits until all earlier instructions have ended, reads the
 * processor's counter (x86-64: the time-stamp counter; 64-bit ARM: the generic
 * timer) and converts it. Where the kernel itself trusts the counter to run evenly
 * on all CPUs, we may read it ourselves. On x86-64 we do not wait: a third of the
 * time, which matters when the I/O takes half a microsecond. A 64-bit ARM processor
 * may read the timer long before it comes to this place, so there we wait, too.
 * Elsewhere this is clock_gettime().
 *
 * Only differences mean something: against CLOCK_MONOTONIC it may be off by some
 * microseconds per second, less than 0.01 %.
 */
#ifndef STOPWATCH_H
#define STOPWATCH_H

#include "workload.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#define STOPWATCH_SOURCE "tsc"	/* the kernel's name of this counter */
#define STOPWATCH_TICKS() __rdtsc()
#elif defined(__aarch64__)
#define STOPWATCH_SOURCE "arch_sys_counter"
#define STOPWATCH_TICKS() stopwatch_timer()

static inline uint64_t stopwatch_timer(void)
{
	uint64_t ticks;

	asm volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
	return ticks;
}
#else
#define STOPWATCH_SOURCE ""
#define STOPWATCH_TICKS() now_ns()
#endif

extern uint64_t stopwatch_scale;	/* nanoseconds per tick, times 2^32; 0: take clock_gettime() */

/* Call once, before the first stopwatch_ns(): takes 2 ms to see how long a tick is. */
void stopwatch_calibrate(void);

static inline uint64_t stopwatch_ns(void)
{
	if (!stopwatch_scale)
		return now_ns();
	return (uint64_t)(((unsigned __int128)STOPWATCH_TICKS() * stopwatch_scale) >> 32);
}

#endif
