/* kind: bounds | type: KPROBE
 * A signed size below 16 may be negative. */
#include <uapi/linux/ptrace.h>
struct record {
	u64 first;
	u64 second;
};
BPF_HASH(records, u32, struct record);

int rejected(struct pt_regs *ctx)
{
	u32 key = 1;
	struct record *value = records.lookup(&key);
	s64 size = (s64)bpf_ktime_get_ns();

	if (!value || size > 16)
		return 0;
	bpf_probe_read_user(value, size, (void *)PT_REGS_PARM1(ctx)); /* rejected here */
	return 0;
}
