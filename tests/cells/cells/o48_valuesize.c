// %%bpf o48 --no-attach
struct stat_row { u64 n; u64 bytes; };
BPF_HASH(rows, u32, struct stat_row);

TRACEPOINT_PROBE(syscalls, sys_exit_read)
{
    u32 k = 1;
    u64 bytes = args->ret;
    rows.update(&k, &bytes);
    return 0;
}
