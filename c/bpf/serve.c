/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 11: what does a server ask of the kernel, and how often does it sleep?
 *
 * NO_EPOLL_WAIT is given where the C library's epoll_wait() makes the call epoll_pwait, because the machine has no
 * other (64-bit ARM); NO_IO_URING where the kernel has none.
 */
#include <linux/signal_types.h>	/* sigset_t, which the tracepoint of epoll_pwait has */
#include "labkit.h"

enum event {
	ACCEPT4,
	RECVFROM,
	SENDTO,
	EPOLL_WAIT,
	EPOLL_CTL,
	IO_URING_ENTER,
	SLEPT,		/* a thread gave up the CPU, to wait */
	PREEMPTED,	/* the CPU was taken from a thread that could have gone on */
	PUNTED,		/* a request was handed to a worker thread of io_uring */
	EVENTS,
};

BPF_PERCPU_ARRAY(seen, u64, EVENTS);

static __always_inline int count(u32 event)
{
	u64 *times = seen.lookup(&event);

	if (times && labkit_is_target())
		(*times)++;
	return 0;
}

#define CALL(name, event) TRACEPOINT_PROBE(syscalls, sys_enter_##name) { return count(event); }

CALL(accept4, ACCEPT4)
CALL(recvfrom, RECVFROM)
CALL(sendto, SENDTO)
CALL(epoll_pwait, EPOLL_WAIT)
CALL(epoll_ctl, EPOLL_CTL)
#ifndef NO_EPOLL_WAIT
CALL(epoll_wait, EPOLL_WAIT)
#endif
#ifndef NO_IO_URING
CALL(io_uring_enter, IO_URING_ENTER)
TRACEPOINT_PROBE(io_uring, io_uring_queue_async_work) { return count(PUNTED); }
#endif

/* The thread that runs now is about to leave the CPU. */
TRACEPOINT_PROBE(sched, sched_switch)
{
	/* one that could go on has the state 0, or, newer, only bits above the eight that say why it sleeps */
	return count(args->prev_state & 0xff ? SLEPT : PREEMPTED);
}
