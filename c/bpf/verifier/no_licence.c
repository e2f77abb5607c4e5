/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Some helpers, this one among them, are for programs under the GPL. */
#ifdef FIXED
#define BPF_LICENSE GPL
#else
#define BPF_LICENSE Proprietary
#endif

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	char first = 0;

	bpf_probe_read_user(&first, 1, args->filename);
	return first;
}
