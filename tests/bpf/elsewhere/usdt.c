/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* accepted: a program for USDT probes, which this loads and does not attach | kind: KPROBE */
#include "labkit_usdt.h"
BPF_HASH(values, u64, u64);
int on_probe(struct pt_regs *ctx)
{
	u64 value = PT_REGS_PARM1(ctx);

	values.increment(value);
	return 0;
}
