/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* accepted since 5.15, before: refused. The helper came with it. */
BPF_ARRAY(cookies, u64, 1);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	int zero = 0;
	u64 cookie = bpf_get_attach_cookie(args);

	cookies.update(&zero, &cookie);
	return 0;
}
