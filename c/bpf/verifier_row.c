/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 03, exercises: a row of CELLS numbers, and an index that is limited in one way or another.
 */
struct row {
	u64 cell[CELLS];
};
BPF_HASH(rows, u32, struct row);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	u32 key = 1;
	u32 index = bpf_get_prandom_u32();
	struct row *row = rows.lookup(&key);

	if (!row)
		return 0;
#ifdef INDEX_MASK
	index &= INDEX_MASK;
#else
	if (index >= LIMIT)
		return 0;
#endif
	row->cell[index] += 1;
	return 0;
}
