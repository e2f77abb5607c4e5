/* kind: bounds | type: KPROBE
 * A signed index below 16 may be negative. */
#include <uapi/linux/ptrace.h>
struct row {
	u64 cell[16];
};
BPF_HASH(rows, u32, struct row);

int rejected(struct pt_regs *ctx)
{
	u32 key = 1;
	s64 index = (s64)bpf_ktime_get_ns();
	struct row *row = rows.lookup(&key);

	if (!row || index > 15)
		return 0;
	row->cell[index] = 1; /* rejected here */
	return 0;
}
