/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* A pointer may only move as far as the verifier can follow. */
struct row {
	u64 cell[16];
};
BPF_HASH(rows, u32, struct row);

TRACEPOINT_PROBE(syscalls, sys_enter_read)
{
	u32 key = 1;
	u64 offset = args->count;
	struct row *row = rows.lookup(&key);

	if (!row)
		return 0;
#ifdef FIXED
	offset &= 15;
#endif
	row->cell[offset] += 1;
	return 0;
}
