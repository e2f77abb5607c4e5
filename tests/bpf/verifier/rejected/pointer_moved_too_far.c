/* kind: bounds | type: KPROBE
 * 2 GiB are more than any pointer may move. */
#include <uapi/linux/ptrace.h>
struct row {
	u64 cell[16];
};
BPF_HASH(rows, u32, struct row);

int rejected(struct pt_regs *ctx)
{
	u32 key = 1;
	struct row *row = rows.lookup(&key);

	if (!row)
		return 0;
	return *((char *)row + 0x40000000ULL); /* rejected here */
}
