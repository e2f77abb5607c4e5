// %%bpf p43 --no-attach
BPF_HASH(a, u32, u64);
BPF_HASH(b, u32, u64);

TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
    u32 k = 1;
    u64 *x = a.lookup(&k), *y = b.lookup(&k);
    if (!x && !y)
        return 0;
    *x += *y;
    return 0;
}
