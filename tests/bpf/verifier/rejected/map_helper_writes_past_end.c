/* kind: bounds | type: KPROBE
 * The helper gets 32 bytes; the value has 16. */
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
	bpf_get_current_comm(value, 32); /* rejected here */
	return 0;
}
