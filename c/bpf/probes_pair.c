/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 04: a uprobe pair, which is a decorator from outside: the function's argument, its result, its duration.
 */
#include "labkit.h"

struct nap_event {
	u64 time_ns;
	u64 latency_ns;
	s64 argument;
	s64 returned;
};

struct beginning {
	u64 time_ns;
	s64 argument;
};

BPF_HASH(began, u32, struct beginning);		/* thread -> what we knew at the entry */
BPF_RINGBUF_OUTPUT(events, 64);

/* show: entry */
int on_entry(struct pt_regs *ctx)
{
	u32 thread = bpf_get_current_pid_tgid();
	struct beginning now = {};

	if (!labkit_is_target())
		return 0;
	now.argument = PT_REGS_PARM1(ctx);	/* the register that holds the first argument */
	now.time_ns = bpf_ktime_get_ns();
	if (began.update(&thread, &now))
		labkit_count_lost();	/* the map is full */
	return 0;
}
/* show: end */

/* show: return */
int on_return(struct pt_regs *ctx)
{
	u32 thread = bpf_get_current_pid_tgid();
	u64 now = bpf_ktime_get_ns();
	struct beginning *then = began.lookup(&thread);
	struct nap_event *event;

	if (!then)
		return 0;
	event = events.ringbuf_reserve(sizeof(*event));
	if (event) {
		event->time_ns = then->time_ns;
		event->latency_ns = now - then->time_ns;
		event->argument = then->argument;
		event->returned = PT_REGS_RC(ctx);	/* the register that holds the result */
		events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	} else {
		labkit_count_lost();
	}
	began.delete(&thread);
	return 0;
}
/* show: end */
