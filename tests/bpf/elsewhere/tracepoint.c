/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* accepted: a tracepoint of a system call */
BPF_HASH(opens, u32, u64);
TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;

	opens.increment(pid);
	return 0;
}
