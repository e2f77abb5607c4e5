/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 06: how long does a system call take? A timer for one kind of call of the watched processes.
 *
 * The call is chosen when this file is compiled: -DENTER=sys_enter_pread64 -DEXIT=sys_exit_pread64. With
 * -DRAW -DCALL=__NR_pread64 the timer uses the raw tracepoints of all calls instead, to show what those cost. With
 * -DSLICES=40 the durations are also kept apart by when they ended, for the heat map.
 */
#include <asm/unistd.h>	/* __NR_pread64 and the like: the numbers differ from one architecture to the next */
#include "labkit.h"

/* TRACEPOINT_PROBE pastes its arguments; this extra step lets ENTER become its value first. */
#define PROBE(category, event) TRACEPOINT_PROBE(category, event)

BPF_HASH(started, u64, u64, 1024);		/* process and thread -> when its call began; 0: it is in none */
BPF_PERCPU_ARRAY(latency, u64, LABKIT_BUCKETS);	/* one slot per CPU: no CPU waits, no update is lost */

#ifdef SLICES
#define COARSE_BUCKETS (LABKIT_BUCKETS / 8)	/* a picture needs 8 buckets per octave, not 64 */

struct time_scale {
	u64 begin_ns;
	u64 slice_ns;	/* 0: not set yet */
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

/* show: entry */
static __always_inline void begin(void)
{
	u64 thread = bpf_get_current_pid_tgid(), now, *start;

	if (!labkit_is_target())
		return;
	start = started.lookup(&thread);
	now = bpf_ktime_get_ns();	/* as late as possible */
	if (start)
		*start = now;		/* writing in place is cheaper than an update */
	else if (started.update(&thread, &now))
		labkit_count_lost();	/* the map is full */
}
/* show: end */

/* show: exit */
static __always_inline void end(void)
{
	u64 now = bpf_ktime_get_ns();	/* as early as possible */
	u64 thread = bpf_get_current_pid_tgid();
	u64 *start = started.lookup(&thread), *count;
	u32 bucket;

	if (!start || *start == 0)	/* not watched, or the call began before we attached */
		return;
	bucket = labkit_bucket(now - *start);
	*start = 0;
	count = latency.lookup(&bucket);
	if (count)
		(*count)++;
#ifdef SLICES
	count_over_time(bucket, now);
#endif
}
/* show: end */

/* show: hooks */
#ifdef RAW	/* hooks of every system call of every process */
RAW_TRACEPOINT_PROBE(sys_enter) { if (ctx->args[1] == CALL) begin(); return 0; }
RAW_TRACEPOINT_PROBE(sys_exit) { if (labkit_is_target()) end(); return 0; }
#else		/* hooks of this one call */
PROBE(syscalls, ENTER) { begin(); return 0; }
PROBE(syscalls, EXIT) { end(); return 0; }
#endif

/* A thread is gone: so is its entry, or the map would fill up with threads that no longer exist. */
TRACEPOINT_PROBE(sched, sched_process_exit)
{
	u64 thread = bpf_get_current_pid_tgid();

	started.delete(&thread);
	return 0;
}
/* show: end */
