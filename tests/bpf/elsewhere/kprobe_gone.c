/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* no hook: no kernel has this function | needs: kprobes */
#include <uapi/linux/ptrace.h>
BPF_ARRAY(calls, u64, 1);
int kprobe__labkit_is_not_there(struct pt_regs *ctx)
{
	calls.increment(0);
	return 0;
}
