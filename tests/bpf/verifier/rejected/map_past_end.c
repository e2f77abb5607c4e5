/* kind: bounds | type: KPROBE
 * The value has 16 bytes; this reads the 8 after them. */
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
	return ((u64 *)value)[2]; /* rejected here */
}
