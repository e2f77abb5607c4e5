/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* refused: the pointer may be null */
BPF_HASH(times, u32, u64);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	u64 *time = times.lookup(&pid);

	return *time > 1;
}
