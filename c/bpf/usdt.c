/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 05: the probes of c/workloads/usdt_app.c. One record each time a probe fires, with its arguments, and a
 * histogram of the latencies that request_done tells.
 */
#include "labkit_usdt.h"

enum usdt_probe { REQUEST_START = 1, REQUEST_DETAIL = 2, REQUEST_DONE = 3 };

struct usdt_event {
	u64 time_ns;
	u64 request;		/* its number */
	s64 latency_ns;
	u32 pid;
	u32 probe;
	s32 status;
	u32 body_bytes;
	char text[116];
};

struct request {		/* as in usdt_app.c: the probe gives its address */
	u64 id;
	u32 body_bytes;
};

BPF_RINGBUF_OUTPUT(events, (4 << 20) / PAGE_SIZE);	/* 4 MiB, whatever the size of a page */
BPF_PERCPU_ARRAY(latencies, u64, LABKIT_BUCKETS);

static __always_inline struct usdt_event *new_event(struct pt_regs *ctx, u32 probe)
{
	struct usdt_event *event = events.ringbuf_reserve(sizeof(*event));

	if (!event) {
		labkit_count_lost();
		return NULL;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = bpf_ktime_get_ns();
	event->pid = labkit_pid();
	event->probe = probe;
	event->request = usdt_argument(ctx, 0);
	return event;
}

int on_request_start(struct pt_regs *ctx)
{
	struct usdt_event *event;
	struct request request = {};

	if (!labkit_is_target() || !(event = new_event(ctx, REQUEST_START)))
		return 0;
	/* An argument that is a pointer points into the process's memory: what it points to must be copied. */
	bpf_probe_read_user_str(event->text, sizeof(event->text), (void *)usdt_argument(ctx, 1));
	bpf_probe_read_user(&request, sizeof(request), (void *)usdt_argument(ctx, 2));
	event->body_bytes = request.body_bytes;
	events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

int on_request_detail(struct pt_regs *ctx)
{
	struct usdt_event *event;

	if (!labkit_is_target() || !(event = new_event(ctx, REQUEST_DETAIL)))
		return 0;
	bpf_probe_read_user_str(event->text, sizeof(event->text), (void *)usdt_argument(ctx, 1));
	events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

int on_request_done(struct pt_regs *ctx)
{
	struct usdt_event *event;
	u64 latency_ns = usdt_argument(ctx, 2);
	int bucket = labkit_bucket(latency_ns);
	u64 *count;

	if (!labkit_is_target())
		return 0;
	count = latencies.lookup(&bucket);
	if (count)
		__sync_fetch_and_add(count, 1);
	event = new_event(ctx, REQUEST_DONE);
	if (!event)
		return 0;
	event->status = usdt_argument(ctx, 1);
	event->latency_ns = latency_ns;
	events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}
