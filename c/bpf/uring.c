/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 08: who does what of io_uring's work? Events are counted by thread.
 *
 * The program, the thread that watches its submission ring (iou-sqp) and the workers (iou-wrk) are threads of one
 * process: their names tell them apart. OLD_NAME is given where the kernel calls a submitted request an sqe
 * (io_uring_submit_sqe until 6.3, io_uring_submit_req since).
 */
#include <uapi/linux/io_uring.h>
#include "labkit.h"

enum event {
	SUBMIT,		/* io_uring_enter with requests to take; it may wait, too */
	WAIT,		/* io_uring_enter that only waits for results */
	WAKE,		/* io_uring_enter that only wakes the thread which watches the ring */
	CONSUMED,	/* the kernel took an sqe from the submission ring */
	PUNTED,		/* a request was handed to a worker */
	RAN,		/* the thread had a CPU, and left it */
	CALL_OPENAT, CALL_STATX, CALL_READ, CALL_CLOSE, CALL_SENDTO, CALL_RECVFROM,	/* without io_uring */
};

struct who {
	u32 tid;
	u32 event;
	char comm[16];	/* the thread's name */
};

BPF_HASH(seen, struct who, u64, 4096);

static __always_inline void count(u32 event)
{
	struct who who = { .event = event };
	u64 zero = 0, *times;

	if (!labkit_is_target())
		return;
	who.tid = bpf_get_current_pid_tgid();
	bpf_get_current_comm(&who.comm, sizeof(who.comm));
	times = seen.lookup_or_try_init(&who, &zero);
	if (times)
		(*times)++;	/* the key names one thread, and a thread is on one CPU at a time */
	else
		labkit_count_lost();
}

TRACEPOINT_PROBE(syscalls, sys_enter_io_uring_enter)
{
	if (args->to_submit)
		count(SUBMIT);
	else if (args->flags & IORING_ENTER_SQ_WAKEUP)
		count(WAKE);
	else
		count(WAIT);
	return 0;
}

#ifdef OLD_NAME
TRACEPOINT_PROBE(io_uring, io_uring_submit_sqe) { count(CONSUMED); return 0; }
#else
TRACEPOINT_PROBE(io_uring, io_uring_submit_req) { count(CONSUMED); return 0; }
#endif
TRACEPOINT_PROBE(io_uring, io_uring_queue_async_work) { count(PUNTED); return 0; }

/* Whoever runs now is about to leave the CPU. */
TRACEPOINT_PROBE(sched, sched_switch) { count(RAN); return 0; }

#define CALL(name, event) TRACEPOINT_PROBE(syscalls, sys_enter_##name) { count(event); return 0; }

CALL(openat, CALL_OPENAT)
CALL(statx, CALL_STATX)
CALL(read, CALL_READ)
CALL(close, CALL_CLOSE)
CALL(sendto, CALL_SENDTO)
CALL(recvfrom, CALL_RECVFROM)
