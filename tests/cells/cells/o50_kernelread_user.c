// %%bpf o50 --no-attach
#include "labkit.h"
struct name { char text[32]; };
BPF_HASH(opens, struct name, u64);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    struct name n = {};
    if (!labkit_is_target())
        return 0;
    bpf_probe_read_kernel_str(n.text, sizeof(n.text), args->filename);
    opens.increment(n);
    return 0;
}
