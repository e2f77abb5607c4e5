/* kind: bounds | type: KPROBE
 * The size may be anything. */
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

	if (!value)
		return 0;
	bpf_probe_read_user(value, bpf_get_prandom_u32(), (void *)PT_REGS_PARM1(ctx)); /* rejected here */
	return 0;
}
