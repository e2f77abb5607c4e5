/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 04: at each tick of a timer, the stack of the watched process, counted.
 */
#include "labkit.h"
#include <uapi/linux/bpf_perf_event.h>

struct stack_pair {
	int user;		/* numbers in `stacks`, or an error below zero */
	int kernel;
};

BPF_STACK_TRACE(stacks, 16384);			/* each distinct stack is kept once */
BPF_HASH(samples, struct stack_pair, u64, 16384);

int on_tick(struct bpf_perf_event_data *ctx)
{
	struct stack_pair pair = {};
	u64 zero = 0;
	u64 *count;

	if (!labkit_is_target())
		return 0;
	pair.user = stacks.get_stackid(ctx, BPF_F_USER_STACK);
	pair.kernel = stacks.get_stackid(ctx, 0);	/* -EFAULT while the process is not in the kernel */
	count = samples.lookup_or_try_init(&pair, &zero);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		labkit_count_lost();
	return 0;
}
