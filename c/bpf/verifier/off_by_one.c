/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* An array of 16 has the indices 0 to 15. */
struct row {
	u64 cell[16];
};
BPF_HASH(rows, u32, struct row);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	u32 key = 1;
	u32 index = bpf_get_prandom_u32();
	struct row *row = rows.lookup(&key);

	if (!row)
		return 0;
#ifdef FIXED
	if (index >= 16)
#else
	if (index > 16)
#endif
		return 0;
	row->cell[index] += 1;
	return 0;
}
