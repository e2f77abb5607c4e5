/* kind: context | type: TRACEPOINT
 * A tracepoint's record is for reading. */
TRACEPOINT_PROBE(raw_syscalls, sys_enter)
{
	args->id = 0; /* rejected here */
	return 0;
}
