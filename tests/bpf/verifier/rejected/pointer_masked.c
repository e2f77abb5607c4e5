/* kind: arithmetic | type: KPROBE
 * A pointer cannot be rounded down. */
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
	return *(u64 *)((u64)row->cell & ~7ULL); /* rejected here */
}
