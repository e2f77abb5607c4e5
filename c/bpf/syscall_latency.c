/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 06: how long does a system call take? A timer for one kind of call of the watched processes.
 *
 * CALL is chosen when this file is compiled: -DCALL=__NR_pread64. With -DSLICES=40 the durations are also kept
 * apart by when they ended, for the heat map.
 */
#include <asm/unistd.h>	/* __NR_pread64 and the like: the numbers differ from one architecture to the next */
#include "labkit.h"

BPF_HASH(started, u64, u64, 1024);		/* process and thread -> when its call began; 0: it is in none */
BPF_PERCPU_ARRAY(latency, u64, LABKIT_BUCKETS);	/* each CPU counts in a slot of its own: nobody waits, nothing is lost */

#ifdef SLICES
#define COARSE_BUCKETS (LABKIT_BUCKETS / 8)	/* a picture needs 8 buckets per octave, not 64 */

struct time_scale {
	u64 begin_ns;
	u64 slice_ns;	/* 0: not told yet */
};

BPF_ARRAY(time_scale, struct time_scale, 1);
BPF_PERCPU_ARRAY(over_time, u64, SLICES * COARSE_BUCKETS);

static __always_inline void count_over_time(u32 bucket, u64 now)
{
	u32 first = 0, place;
	struct time_scale *scale = time_scale.lookup(&first);
	u64 slice, *count;

	if (!scale || scale->slice_ns == 0)
		return;
	slice = (now - scale->begin_ns) / scale->slice_ns;
	if (slice >= SLICES)
		slice = SLICES - 1;
	place = slice * COARSE_BUCKETS + bucket / 8;
	count = over_time.lookup(&place);
	if (count)
		(*count)++;
}
#endif

/* Runs at the beginning of every system call of the machine, so the cheapest question comes first. */
RAW_TRACEPOINT_PROBE(sys_enter)
{
	u64 thread, now, *start;

	if (ctx->args[1] != CALL || !labkit_is_target())
		return 0;
	thread = bpf_get_current_pid_tgid();
	start = started.lookup(&thread);
	now = bpf_ktime_get_ns();	/* as late as can be */
	if (start)
		*start = now;		/* writing in place is cheaper than an update */
	else
		started.update(&thread, &now);
	return 0;
}

/* Runs at the end of every system call. Who has a beginning in the map is one of ours. */
RAW_TRACEPOINT_PROBE(sys_exit)
{
	u64 now = bpf_ktime_get_ns();	/* as early as can be */
	u64 thread = bpf_get_current_pid_tgid();
	u64 *start = started.lookup(&thread), *count;
	u32 bucket;

	if (!start || *start == 0)
		return 0;
	bucket = labkit_bucket(now - *start);
	*start = 0;
	count = latency.lookup(&bucket);
	if (count)
		(*count)++;
#ifdef SLICES
	count_over_time(bucket, now);
#endif
	return 0;
}
