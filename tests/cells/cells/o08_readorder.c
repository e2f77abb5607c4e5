// %%bpf o08 --no-attach
TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    char name[64];
    bpf_probe_read_user(args->filename, sizeof(name), name);
    bpf_trace_printk("%s", name);
    return 0;
}
