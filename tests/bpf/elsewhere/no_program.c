/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* does not compile: no such field */
BPF_ARRAY(calls, u64, 1);
TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	int where = args->no_such_field;

	calls.increment(where);
	return 0;
}
