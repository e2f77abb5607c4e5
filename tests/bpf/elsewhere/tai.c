/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* accepted since 6.1, before: refused. The helper came with it. */
BPF_ARRAY(times, u64, 1);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	int zero = 0;
	u64 now = bpf_ktime_get_tai_ns();

	times.update(&zero, &now);
	return 0;
}
