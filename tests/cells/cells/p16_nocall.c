// %%bpf p16 --no-attach
BPF_HASH(calls, u32, u64);

TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
    u64 t = bpf_ktime_get_ns;
    u32 k = t;
    calls.increment(k);
    return 0;
}
