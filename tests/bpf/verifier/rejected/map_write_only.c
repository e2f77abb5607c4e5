/* kind: read-only | type: KPROBE
 * The map is write-only for programs. */
#include <uapi/linux/ptrace.h>
BPF_F_TABLE("hash", u32, u64, secrets, 16, BPF_F_WRONLY_PROG);

int rejected(struct pt_regs *ctx)
{
	u32 key = 1;
	u64 *value = secrets.lookup(&key);

	if (value)
		return *value; /* rejected here */
	return 0;
}
