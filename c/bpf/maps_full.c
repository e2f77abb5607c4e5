/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 02: more keys than a map has room for. A hash refuses the newcomer; an LRU hash forgets keys that were not
 * used for long: roughly, and several at a time.
 */
#include "labkit.h"

BPF_HASH(first_come, u32, u64, ENTRIES);			/* size of a write -> how often */
BPF_TABLE("lru_hash", u32, u64, last_used, ENTRIES);

BPF_PERCPU_ARRAY(refused, u64, 2);	/* events that the hash, and the LRU hash, had no room for */

TRACEPOINT_PROBE(syscalls, sys_enter_pwrite64)
{
	u32 bytes = args->count, hash = 0, lru = 1;
	u64 zero = 0;
	u64 *times;

	if (!labkit_is_target())
		return 0;

	times = first_come.lookup_or_try_init(&bytes, &zero);
	if (!times)		/* no room: say so, or the event is lost without a trace */
		times = refused.lookup(&hash);
	if (times)
		*times += 1;

	times = last_used.lookup_or_try_init(&bytes, &zero);
	if (!times)
		times = refused.lookup(&lru);
	if (times)
		*times += 1;
	return 0;
}
