/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 11: who wakes the threads of a server, and how often?
 *
 * A thread is a server if it has once called epoll_wait(). NO_EPOLL_WAIT: see serve.c.
 */
#include <linux/signal_types.h>	/* sigset_t, which the tracepoint of epoll_pwait has */
#include "labkit.h"

struct waker {
	char name[16];		/* of the thread that woke; "elsewhere" if it is of another process */
};

BPF_HASH(servers, u32, u8, 1024);	/* by the machine's own thread ids */
BPF_HASH(wakeups, struct waker, u64, 64);

static __always_inline int note_server(void)
{
	u32 tid = bpf_get_current_pid_tgid();
	u8 yes = 1;

	if (labkit_is_target() && servers.update(&tid, &yes))
		labkit_count_lost();
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_enter_epoll_pwait) { return note_server(); }
#ifndef NO_EPOLL_WAIT
TRACEPOINT_PROBE(syscalls, sys_enter_epoll_wait) { return note_server(); }
#endif

/* Runs in the thread that wakes another one, whose id is args->pid. */
TRACEPOINT_PROBE(sched, sched_waking)
{
	struct waker waker = { .name = "elsewhere" };	/* an interrupt that came meanwhile, for instance */
	u32 tid = args->pid;
	u64 none = 0, *times;

	if (!servers.lookup(&tid))
		return 0;
	if (labkit_is_target())
		bpf_get_current_comm(waker.name, sizeof(waker.name));
	times = wakeups.lookup_or_try_init(&waker, &none);
	if (times)
		__sync_fetch_and_add(times, 1);
	else
		labkit_count_lost();
	return 0;
}
