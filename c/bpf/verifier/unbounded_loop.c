/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* The verifier walks each round of a loop; it must see the last one. */
TRACEPOINT_PROBE(syscalls, sys_enter_read)
{
	u64 sum = 0;

#ifdef FIXED
	for (u64 i = 0; i < 100; i++)
#else
	for (u64 i = 0; i < args->count; i++)
#endif
		sum += bpf_get_prandom_u32();
	return sum & 1;
}
