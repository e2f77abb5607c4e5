/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Each path must return a value. */
TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
#ifdef FIXED
	int result = 0;
#else
	int result;
#endif

	return result;
}
