/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* The context is for reading; change a copy. */
TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
#ifdef FIXED
	long flags = args->flags;

	flags |= 1;
	return flags;
#else
	args->flags |= 1;
	return args->flags;
#endif
}
