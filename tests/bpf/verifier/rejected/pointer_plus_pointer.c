/* kind: arithmetic | type: KPROBE
 * Two pointers cannot be added. */
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
	return *(u64 *)((u64)value + (u64)ctx); /* rejected here */
}
