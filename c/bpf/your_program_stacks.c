/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 12: the stacks of a process and its children: at each tick of a timer, at each page fault, and (with
 * OFF_CPU) while they are off the CPU.
 */
#include "labkit_watched.h"
#include "labkit_python.h"
#include <uapi/linux/bpf_perf_event.h>

enum { TICK, MINOR, MAJOR, OFF };

struct stack_key {	/* numbers in `stacks`, or an error below zero; of the Python functions, in `python_stacks` */
	u64 python;
	u32 pid;
	int user;
	int kernel;
	u32 kind;
};
struct stack_sum { u64 count; u64 total_ns; };

BPF_STACK_TRACE(stacks, 16384);
BPF_HASH(sums, struct stack_key, struct stack_sum, 16384);

static __always_inline void add(struct stack_key *key, u64 ns)
{
	struct stack_sum zero = {}, *sum = sums.lookup_or_try_init(key, &zero);

	if (!sum) {
		labkit_count_lost();
		return;
	}
	__sync_fetch_and_add(&sum->count, 1);
	if (ns)		/* clang makes another atomic operation of adding 0, which Linux 5.10 does not know */
		__sync_fetch_and_add(&sum->total_ns, ns);
}

static __always_inline int note(struct bpf_perf_event_data *ctx, u32 kind)
{
	struct stack_key key = { .kind = kind, .kernel = -1 };

	if (!is_watched())
		return 0;
	key.pid = labkit_pid();
	key.user = stacks.get_stackid(ctx, BPF_F_USER_STACK);
	key.python = python_stack_number();
	if (kind == TICK)
		key.kernel = stacks.get_stackid(ctx, 0);	/* -EFAULT while the process is not in the kernel */
	add(&key, 0);
	return 0;
}

int on_tick(struct bpf_perf_event_data *ctx) { return note(ctx, TICK); }
int on_minor(struct bpf_perf_event_data *ctx) { return note(ctx, MINOR); }
int on_major(struct bpf_perf_event_data *ctx) { return note(ctx, MAJOR); }

#ifdef OFF_CPU
struct away { u64 at_ns; struct stack_key key; };
BPF_HASH(off_cpu, u32, struct away, 16384);		/* by thread, as the machine numbers them */

TRACEPOINT_PROBE(sched, sched_switch)
{
	u64 now_ns = bpf_ktime_get_ns();
	u32 tid = args->prev_pid, next = args->next_pid;
	struct away left = {}, *was;

	if (is_watched() && !(args->prev_state & 0xb0)) {	/* not one that ends */
		left.at_ns = now_ns;
		left.key.kind = OFF;
		left.key.pid = labkit_pid();
		left.key.user = stacks.get_stackid(args, BPF_F_USER_STACK);
		left.key.kernel = stacks.get_stackid(args, 0);
		left.key.python = python_stack_number();
		if (off_cpu.update(&tid, &left))
			labkit_count_lost();
	}
	was = next ? off_cpu.lookup(&next) : NULL;
	if (!was)
		return 0;
	left = *was;
	off_cpu.delete(&next);
	add(&left.key, now_ns - left.at_ns);
	return 0;
}
#endif
