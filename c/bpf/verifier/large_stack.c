/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* The stack of a BPF program has 512 bytes. */
struct path {
	char text[600];
};
BPF_PERCPU_ARRAY(scratch, struct path, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
#ifdef FIXED
	int slot = 0;
	struct path *path = scratch.lookup(&slot);

	if (!path)
		return 0;
#else
	struct path on_stack, *path = &on_stack;
#endif
	bpf_probe_read_user_str(path->text, sizeof(path->text), args->filename);
	return path->text[599];
}
