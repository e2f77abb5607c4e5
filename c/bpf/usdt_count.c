/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 05: count how often a probe fires, and do nothing else.
 */
#include "labkit.h"

BPF_PERCPU_ARRAY(fired, u64, 1);

int on_probe(struct pt_regs *ctx)
{
	int first = 0;
	u64 *count = fired.lookup(&first);

	if (count && labkit_is_target())
		__sync_fetch_and_add(count, 1);	/* a program of a uprobe can be preempted by another on this CPU */
	return 0;
}
