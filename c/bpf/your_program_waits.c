/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 12: what a process and its children wait for: a CPU, or something in a system call; and for which lock.
 *
 * FUTEX is the number of futex(2) on this machine.
 */
#include "labkit_in_call.h"

enum { ON_RUN_QUEUE, ASLEEP };

struct off { u64 at_ns; u64 woken_ns; s64 number; };	/* woken_ns 0: it sleeps */
struct wait_key { s64 number; u32 kind; u32 pad; };	/* number -1: not in a system call */
struct lock_key { u64 address; u32 pid; u32 pad; };
struct wait_sum { u64 count; u64 total_ns; };

BPF_HASH(off_cpu, u32, struct off, 16384);		/* by thread */
BPF_HASH(waits, struct wait_key, struct wait_sum, 4096);
BPF_HASH(locks, struct lock_key, struct wait_sum, 16384);

static __always_inline void add_wait(s64 number, u32 kind, u64 ns)
{
	struct wait_key key = { .number = number, .kind = kind };
	struct wait_sum zero = {}, *sum = waits.lookup_or_try_init(&key, &zero);

	if (!sum) {
		labkit_count_lost();
		return;
	}
	__sync_fetch_and_add(&sum->count, 1);
	__sync_fetch_and_add(&sum->total_ns, ns);
}

TRACEPOINT_PROBE(raw_syscalls, sys_exit)
{
	struct started began;
	struct lock_key key = {};
	struct wait_sum zero = {}, *sum;
	u32 operation;

	if (!take_call(&began))
		return 0;
	operation = began.second & 127;		/* without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME */
	/* FUTEX_WAIT, FUTEX_LOCK_PI, FUTEX_WAIT_BITSET */
	if (began.number != FUTEX || (operation != 0 && operation != 6 && operation != 9))
		return 0;
	key.address = began.first;
	key.pid = labkit_pid();
	sum = locks.lookup_or_try_init(&key, &zero);
	if (!sum) {
		labkit_count_lost();
		return 0;
	}
	__sync_fetch_and_add(&sum->count, 1);
	__sync_fetch_and_add(&sum->total_ns, bpf_ktime_get_ns() - began.at_ns);
	return 0;
}

/* The thread that runs now leaves the CPU, and `next_pid` gets it. */
TRACEPOINT_PROBE(sched, sched_switch)
{
	u64 now_ns = bpf_ktime_get_ns();
	u32 tid = args->prev_pid, next = args->next_pid;
	struct off left = {}, *was;
	struct started *call;

	if (is_watched() && !(args->prev_state & 0xb0)) {	/* not one that ends */
		left.at_ns = now_ns;
		left.woken_ns = args->prev_state & 0x4f ? 0 : now_ns;
		call = in_call.lookup(&tid);
		left.number = call ? call->number : -1;
		if (off_cpu.update(&tid, &left))
			labkit_count_lost();
	}
	was = next ? off_cpu.lookup(&next) : NULL;
	if (!was)
		return 0;
	left = *was;
	off_cpu.delete(&next);
	if (!left.woken_ns)
		left.woken_ns = now_ns;
	if (left.woken_ns > left.at_ns)
		add_wait(left.number, ASLEEP, left.woken_ns - left.at_ns);
	add_wait(-1, ON_RUN_QUEUE, now_ns - left.woken_ns);
	return 0;
}

TRACEPOINT_PROBE(sched, sched_wakeup)
{
	u32 tid = args->pid;
	struct off *was = off_cpu.lookup(&tid);

	if (was && !was->woken_ns)
		was->woken_ns = bpf_ktime_get_ns();
	return 0;
}

/* A new thread, or process, waits for its first CPU; its parent runs now. */
TRACEPOINT_PROBE(sched, sched_wakeup_new)
{
	u32 tid = args->pid;
	struct off born = { .number = -1 };

	if (!is_watched())
		return 0;
	born.at_ns = born.woken_ns = bpf_ktime_get_ns();
	if (off_cpu.update(&tid, &born))
		labkit_count_lost();
	return 0;
}
