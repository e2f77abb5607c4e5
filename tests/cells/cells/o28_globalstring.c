// %%bpf o28 --no-attach
const char *wanted = "python3";

TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
    char who[16];
    bpf_get_current_comm(&who, sizeof(who));
    if (who[0] == wanted[0])
        bpf_trace_printk("p");
    return 0;
}
