/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* An argument that is an address is only a number here: it belongs to another program. */
TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	char first = 0;

#ifdef FIXED
	bpf_probe_read_user(&first, 1, args->filename);
#else
	u64 address = (u64)args->filename;

	first = *(volatile char *)address;
#endif
	return first;
}
