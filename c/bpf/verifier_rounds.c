/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 03: a loop of ROUNDS rounds, and how far the verifier has to walk for it. It is loaded, never attached.
 */
TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	u64 sum = 0;

	for (u32 i = 0; i < ROUNDS; i++) {
#ifdef BRANCH
		if (bpf_get_prandom_u32() > 7)	/* two ways on from here, in each round */
			sum = bpf_ktime_get_ns();
#else
		sum += bpf_get_prandom_u32();
#endif
	}
	return sum & 1;
}
