/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 02: the same event counted in four ways, by threads on several CPUs at once.
 *
 * WAY is chosen when this file is compiled: the other three are not in the program, and cost it nothing.
 */
#include "labkit.h"

#define ARRAY	1	/* one slot, read, add, write */
#define ATOMIC	2	/* the same slot, added to by one instruction that no other CPU can come between */
#define PER_CPU	3	/* a slot for each CPU; Python adds them up */
#define HASH	4	/* BCC's increment(), which is read, add, write as well */

BPF_ARRAY(shared, u64, 1);
BPF_PERCPU_ARRAY(own, u64, 1);
BPF_HASH(named, u32, u64, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	u32 slot = 0;
	u64 *count;

	if (!labkit_is_target())
		return 0;
	if (WAY == HASH) {
		named.increment(slot);
		return 0;
	}
	count = WAY == PER_CPU ? own.lookup(&slot) : shared.lookup(&slot);
	if (!count)
		return 0;
	if (WAY == ATOMIC)
		__sync_fetch_and_add(count, 1);
	else
		*count += 1;
	return 0;
}
