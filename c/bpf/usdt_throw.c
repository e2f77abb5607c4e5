/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 05: the probes of libstdc++: throw, catch and rethrow, each with (object, type).
 */
#include "labkit_usdt.h"

enum throw_kind { CXX_THROW = 1, CXX_CATCH = 2, CXX_RETHROW = 3 };

struct throw_event {
	u64 time_ns;
	u32 tid;
	u32 kind;
	char type[64];		/* as the C++ ABI spells it: St12out_of_range is std::out_of_range */
};

BPF_RINGBUF_OUTPUT(events, 256);

static __always_inline int note(struct pt_regs *ctx, u32 kind)
{
	void **type_info = (void **)usdt_argument(ctx, 1);
	void *name = NULL;
	struct throw_event *event;

	if (!labkit_is_target())
		return 0;
	event = events.ringbuf_reserve(sizeof(*event));
	if (!event) {
		labkit_count_lost();
		return 0;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->tid = labkit_tid();
	event->kind = kind;
	event->type[0] = 0;
	/* a std::type_info is a pointer to its class's functions, then a pointer to its name */
	bpf_probe_read_user(&name, sizeof(name), &type_info[1]);
	bpf_probe_read_user_str(event->type, sizeof(event->type), name);
	events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

int on_throw(struct pt_regs *ctx)
{
	return note(ctx, CXX_THROW);
}

int on_catch(struct pt_regs *ctx)
{
	return note(ctx, CXX_CATCH);
}

int on_rethrow(struct pt_regs *ctx)
{
	return note(ctx, CXX_RETHROW);
}
