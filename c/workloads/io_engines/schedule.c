// SPDX-License-Identifier: Apache-2.0
/*
 * When the I/Os of the open loop are due: a Poisson process, as if a great many
 * clients each asked now and then, whether or not an answer is late. The time
 * from one I/O to the next is drawn from an exponential distribution.
 */
#include <math.h>

#include "loop.h"
#include "pattern.h"

#define LONGEST_SLEEP_NS 20000000ull

static double next_ns;			/* after schedule_start */
static uint64_t schedule_start, taken;

static void draw(void)
{
	/* 53 random bits: 0 <= u < 1 */
	double u = (double)(pattern_word(~(uint64_t)set.seed, taken) >> 11) * 0x1p-53;

	next_ns += -log1p(-u) / set.rate * 1e9;
}

void schedule_begin(uint64_t start_ns)
{
	schedule_start = start_ns;
	next_ns = 0;
	taken = 0;
	draw();
}

void schedule_shift(uint64_t pause_ns)
{
	schedule_start += pause_ns;
}

uint64_t schedule_next(void)
{
	return schedule_start + (uint64_t)next_ns;
}

void schedule_take(void)
{
	taken++;
	draw();
}

/* Counts again from the start: the pool has also taken I/Os that were never started. */
uint64_t schedule_offered(uint64_t until_ns)
{
	for (schedule_begin(schedule_start); schedule_next() <= until_ns;)
		schedule_take();
	return taken;
}

/*
 * Sleeps in short steps, so that the caller can see in between that it is time to end. The kernel wakes us a little
 * late, and later on a busy machine: the latency contains that, the service time does not.
 */
void sleep_until(uint64_t until_ns)
{
	uint64_t limit_ns = now_ns() + LONGEST_SLEEP_NS, end_ns = until_ns < limit_ns ? until_ns : limit_ns;
	struct timespec end = { (time_t)(end_ns / NS_PER_S), (long)(end_ns % NS_PER_S) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}
