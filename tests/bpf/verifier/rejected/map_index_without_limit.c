/* kind: bounds | type: KPROBE
 * The index may be anything. */
#include <uapi/linux/ptrace.h>
struct row {
	u64 cell[16];
};
BPF_HASH(rows, u32, struct row);

int rejected(struct pt_regs *ctx)
{
	u32 key = 1, index = bpf_get_prandom_u32();
	struct row *row = rows.lookup(&key);

	if (!row)
		return 0;
	row->cell[index] = 1; /* rejected here */
	return 0;
}
