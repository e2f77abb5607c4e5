/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 04: one event, seen by every mechanism that the kernel has. Only the mechanism changes.
 *
 * The workload calls step(), which calls getppid(). MECHANISM and ENDS are chosen when this file is compiled; FUNCTION
 * is the kernel's name for what serves the system call: __x64_sys_getppid on one architecture, another on the next.
 */
#include "labkit.h"
#include <asm/syscall.h>
#include <asm/unistd.h>

#define TRACEPOINT	1
#define RAW_TRACEPOINT	2
#define KPROBE		3
#define FENTRY		4
#define UPROBE		5
#define TIMER		6

#define ENTRY	1
#define RETURN	2

BPF_PERCPU_ARRAY(hits, u64, 2);		/* entries, returns */

/* What every probe of this file does. */
static __always_inline int count(u32 end)
{
	u64 *hit;

	if (!labkit_is_target())
		return 0;
	hit = hits.lookup(&end);
	if (hit)
		*hit += 1;
	return 0;
}

/* show: tracepoint */
#if MECHANISM == TRACEPOINT
#if ENDS & ENTRY
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) { return count(0); }
#endif
#if ENDS & RETURN
TRACEPOINT_PROBE(syscalls, sys_exit_getppid) { return count(1); }
#endif
#endif
/* show: end */

/* show: raw_tracepoint */
#if MECHANISM == RAW_TRACEPOINT
/* One event for all system calls, and its arguments as they are: nothing is prepared for us. */
#if ENDS & ENTRY
RAW_TRACEPOINT_PROBE(sys_enter)		/* struct pt_regs *registers, long number */
{
	return ctx->args[1] == __NR_getppid ? count(0) : 0;
}
#endif
#if ENDS & RETURN
RAW_TRACEPOINT_PROBE(sys_exit)		/* struct pt_regs *registers, long result */
{
	struct pt_regs registers;

	/* the result does not say of which call it is; the saved registers do */
	if (bpf_probe_read_kernel(&registers, sizeof(registers), (void *)ctx->args[0]))
		return 0;
	return syscall_get_nr(NULL, &registers) == __NR_getppid ? count(1) : 0;
}
#endif
#endif
/* show: end */

/* show: kprobe */
#if MECHANISM == KPROBE
#if ENDS & ENTRY
int kprobe__sys_getppid(struct pt_regs *ctx) { return count(0); }
#endif
#if ENDS & RETURN
int kretprobe__sys_getppid(struct pt_regs *ctx) { return count(1); }
#endif
#endif
/* show: end */

/* show: fentry */
#if MECHANISM == FENTRY
#define AT_ENTRY(function) KFUNC_PROBE(function)	/* BCC's name for fentry */
#define AT_RETURN(function) KRETFUNC_PROBE(function)
#if ENDS & ENTRY
AT_ENTRY(FUNCTION) { return count(0); }
#endif
#if ENDS & RETURN
AT_RETURN(FUNCTION) { return count(1); }
#endif
#endif
/* show: end */

/* show: uprobe */
#if MECHANISM == UPROBE
/* Python says where: the workload's file, and step() in it. */
int on_entry(struct pt_regs *ctx) { return count(0); }
int on_return(struct pt_regs *ctx) { return count(1); }
#endif
/* show: end */

/* show: timer */
#if MECHANISM == TIMER
/* Not at the event at all: at each tick, whatever the workload is doing then. */
int on_timer(struct bpf_perf_event_data *ctx) { return count(0); }
#endif
/* show: end */
