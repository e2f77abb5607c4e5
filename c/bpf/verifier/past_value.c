/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* The value of the map has 8 bytes; the record needs 16. */
struct record {
	u64 first_ns;
	u64 last_ns;
};

#ifdef FIXED
BPF_HASH(records, u32, struct record);
#else
BPF_HASH(records, u32, u64);
#endif

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	u32 key = 1;
	struct record *record = (struct record *)records.lookup(&key);

	if (!record)
		return 0;
	record->last_ns = bpf_ktime_get_ns();
	return 0;
}
