/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 02: how large are the writes? Two histograms of the same events.
 *
 * FIRST, STEP and BARS say where the linear one begins, how wide a bar is, and how many there are.
 */
#include "labkit.h"

#define BELOW	BARS		/* two more slots: nothing that falls outside is forgotten */
#define ABOVE	(BARS + 1)

BPF_PERCPU_ARRAY(log2_bars, u64, 64);		/* slot n: 2^(n-1) to 2^n - 1 bytes */
BPF_PERCPU_ARRAY(linear_bars, u64, BARS + 2);

TRACEPOINT_PROBE(syscalls, sys_enter_pwrite64)
{
	u64 bytes = args->count;
	u32 slot;
	u64 *bar;

	if (!labkit_is_target())
		return 0;

	slot = bytes ? bpf_log2l(bytes) : 0;	/* BCC's: 1 for 1, 2 for 2 and 3, 3 for 4 to 7, ... */
	bar = log2_bars.lookup(&slot);
	if (bar)
		*bar += 1;

	if (bytes < FIRST)
		slot = BELOW;
	else
		slot = (bytes - FIRST) / STEP < BARS ? (bytes - FIRST) / STEP : ABOVE;
	bar = linear_bars.lookup(&slot);
	if (bar)
		*bar += 1;
	return 0;
}
