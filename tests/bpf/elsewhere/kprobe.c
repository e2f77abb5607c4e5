/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* accepted: a function that every kernel has | needs: kprobes */
#include <uapi/linux/ptrace.h>
BPF_ARRAY(reads, u64, 1);
int kprobe__vfs_read(struct pt_regs *ctx)
{
	reads.increment(0);
	return 0;
}
