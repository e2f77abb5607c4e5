/* kind: lock | type: KPROBE
 * A tracing program may interrupt the owner of the lock. The kernel refuses the map; the first use is named. */
#include <uapi/linux/ptrace.h>
struct guarded {
	struct bpf_spin_lock lock;
	u32 count;
};
BPF_HASH(counts, u32, struct guarded);

int rejected(struct pt_regs *ctx)
{
	u32 key = 1;
	struct guarded *value = counts.lookup(&key);

	if (!value)
		return 0;
	bpf_spin_lock(&value->lock); /* rejected here */
	value->count += 1;
	bpf_spin_unlock(&value->lock);
	return 0;
}
