/* kind: null | type: KPROBE
 * A pointer that may be NULL cannot be moved. */
#include <uapi/linux/ptrace.h>
struct row {
	u64 cell[16];
};
BPF_HASH(rows, u32, struct row);

int rejected(struct pt_regs *ctx)
{
	u32 key = 1;
	struct row *row = rows.lookup(&key);
	u64 *cell = (u64 *)row + (bpf_get_prandom_u32() & 7); /* rejected here */

	asm volatile("" : "+r"(cell));
	if (!row)
		return 0;
	return *cell;
}
