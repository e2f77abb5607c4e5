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

#define STOPWATCH_CALIBRATE_NS 10000000ull

static uint64_t stopwatch_scale;	/* nanoseconds per tick, times 2^32; 0: take clock_gettime() */

static bool stopwatch_is_trusted(void)
{
	static const char path[] = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
	char name[16] = "";
	FILE *file = fopen(path, "re");

	if (file) {
		if (!fgets(name, sizeof(name), file))
			name[0] = '\0';
		fclose(file);
	}
	return !strcmp(name, "tsc\n");
}

/* Both clocks at the same moment: of some tries the one during which least time went by. */
static void stopwatch_both(uint64_t *ns, uint64_t *ticks)
{
	uint64_t narrowest = UINT64_MAX;

	for (int i = 0; i < 16; i++) {
		uint64_t before = STOPWATCH_TICKS(), now = now_ns(), after = STOPWATCH_TICKS();

		if (after - before < narrowest) {
			narrowest = after - before;
			*ns = now;
			*ticks = before + narrowest / 2;
		}
	}
}

/* Call once, before the first stopwatch_ns(): takes 10 ms to see how long a tick is. */
static void stopwatch_calibrate(void)
{
	uint64_t from_ns = 0, from_ticks = 0, to_ns = 0, to_ticks = 0;

	if (!stopwatch_is_trusted())
		return;
	stopwatch_both(&from_ns, &from_ticks);
	while (now_ns() - from_ns < STOPWATCH_CALIBRATE_NS)
		;
	stopwatch_both(&to_ns, &to_ticks);
	stopwatch_scale = ((to_ns - from_ns) << 32) / (to_ticks - from_ticks);
}

static inline uint64_t stopwatch_ns(void)
{
	if (!stopwatch_scale)
		return now_ns();
	return (uint64_t)(((unsigned __int128)STOPWATCH_TICKS() * stopwatch_scale) >> 32);
}

#endif
