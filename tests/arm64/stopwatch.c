// SPDX-License-Identifier: Apache-2.0
/* Print nanoseconds per tick times 2^32, and how long 50 ms took by the stopwatch and by CLOCK_MONOTONIC. */
#include <inttypes.h>
#include <stdio.h>

#include "stopwatch.h"

int main(void)
{
	stopwatch_calibrate();

	uint64_t from_ns = now_ns(), from = stopwatch_ns();

	while (now_ns() - from_ns < 50000000)
		;

	uint64_t by_clock = now_ns() - from_ns, by_stopwatch = stopwatch_ns() - from;

	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", stopwatch_scale, by_stopwatch, by_clock);
	return 0;
}
