// %%bpf o32 --no-attach
BPF_HASH(calls, u32, u64);

TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
    u32 k = 1;
    u64 n = calls.lookup(&k);
    n = n + 1;
    calls.update(&k, &n);
    return 0;
}
