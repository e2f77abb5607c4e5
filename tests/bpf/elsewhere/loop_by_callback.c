/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* refused: BCC does not pass the address of a function, whatever the kernel (bpf_loop came with 5.17) */
BPF_ARRAY(sums, u64, 1);
static long add(u32 index, void *sum)
{
	*(u64 *)sum += index;
	return 0;
}
TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	int zero = 0;
	u64 sum = 0;

	bpf_loop(1000, add, &sum, 0);
	sums.update(&zero, &sum);
	return 0;
}
