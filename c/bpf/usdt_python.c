/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 05: the probes of CPython (Include/pydtrace.d in its sources): functions, imports, the garbage collector.
 */
#include "labkit_usdt.h"

enum python_kind { PYTHON_BEGIN = 1, PYTHON_END = 2 };

struct python_event {
	u64 time_ns;
	s64 number;		/* the line; for the collector: the generation, then how many objects were freed */
	u32 tid;
	u32 kind;
	char function[48];
	char path[96];
};

BPF_RINGBUF_OUTPUT(events, (8 << 20) / PAGE_SIZE);	/* 8 MiB, whatever the size of a page */

static __always_inline int note(struct pt_regs *ctx, u32 kind, void *function, void *path, s64 number)
{
	struct python_event *event;

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
	event->number = number;
	event->function[0] = event->path[0] = 0;
	if (function)
		bpf_probe_read_user_str(event->function, sizeof(event->function), function);
	if (path)
		bpf_probe_read_user_str(event->path, sizeof(event->path), path);
	events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

/* function__entry(char *path, char *function, int line) */
int on_entry(struct pt_regs *ctx)
{
	void *path = (void *)usdt_argument(ctx, 0), *function = (void *)usdt_argument(ctx, 1);

	return note(ctx, PYTHON_BEGIN, function, path, usdt_argument(ctx, 2));
}

/* function__return(char *path, char *function, int line) */
int on_return(struct pt_regs *ctx)
{
	return note(ctx, PYTHON_END, NULL, NULL, usdt_argument(ctx, 2));
}

/* line(char *path, char *function, int line): to have somebody listen is all that is wanted */
int on_line(struct pt_regs *ctx)
{
	return 0;
}

/* import__find__load__start(char *module) */
int on_import(struct pt_regs *ctx)
{
	return note(ctx, PYTHON_BEGIN, (void *)usdt_argument(ctx, 0), NULL, 0);
}

/* import__find__load__done(char *module, int found) */
int on_imported(struct pt_regs *ctx)
{
	return note(ctx, PYTHON_END, NULL, NULL, 0);
}

/* gc__start(int generation) */
int on_gc(struct pt_regs *ctx)
{
	return note(ctx, PYTHON_BEGIN, NULL, NULL, usdt_argument(ctx, 0));
}

/* gc__done(long freed) */
int on_gc_done(struct pt_regs *ctx)
{
	return note(ctx, PYTHON_END, NULL, NULL, usdt_argument(ctx, 0));
}
