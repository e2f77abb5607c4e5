/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 07: which system calls does an engine make, how long are they, and in which of them does its thread sleep?
 *
 * NO_AIO and NO_IO_URING are given where the kernel has no such calls.
 */
#include <uapi/linux/aio_abi.h>	/* aio_context_t, which the tracepoints of libaio's calls have */
#include "labkit.h"

enum call {
	ELSEWHERE,
	PREAD,
	PWRITE,
	PREADV2,
	PWRITEV2,
	IO_SUBMIT,
	IO_GETEVENTS,
	URING_SUBMIT,	/* io_uring_enter that submits and waits for nothing */
	URING_WAIT,	/* io_uring_enter that waits for an I/O to end */
	CALLS,
};

struct inside {
	u64 start_ns;
	u32 call;
};

BPF_HASH(threads, u64, struct inside, 4096);	/* process and thread -> the call it is in */
BPF_PERCPU_ARRAY(durations, u64, CALLS * LABKIT_BUCKETS);
BPF_PERCPU_ARRAY(slept, u64, CALLS);		/* it had to wait: it gave up the CPU in this call */
BPF_PERCPU_ARRAY(preempted, u64, CALLS);	/* it could have gone on: the CPU was taken from it */
BPF_PERCPU_ARRAY(punted, u64, 1);		/* I/Os that io_uring handed to a worker thread */

static __always_inline void begin(u32 call)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct inside inside = { .call = call };

	if (!labkit_is_target())
		return;
	inside.start_ns = bpf_ktime_get_ns();
	if (threads.update(&thread, &inside))
		labkit_count_lost();	/* more threads at a time than the map has room for */
}

static __always_inline void end(void)
{
	u64 now = bpf_ktime_get_ns(), thread = bpf_get_current_pid_tgid(), *count;
	struct inside *inside = threads.lookup(&thread);
	u32 place;

	if (!inside)
		return;
	place = inside->call * LABKIT_BUCKETS + labkit_bucket(now - inside->start_ns);
	threads.delete(&thread);
	count = durations.lookup(&place);
	if (count)
		(*count)++;
}

#define WATCH(name, call)						\
	TRACEPOINT_PROBE(syscalls, sys_enter_##name) { begin(call); return 0; }	\
	TRACEPOINT_PROBE(syscalls, sys_exit_##name) { end(); return 0; }

WATCH(pread64, PREAD)
WATCH(pwrite64, PWRITE)
WATCH(preadv2, PREADV2)
WATCH(pwritev2, PWRITEV2)

#ifndef NO_AIO
WATCH(io_submit, IO_SUBMIT)
WATCH(io_getevents, IO_GETEVENTS)
WATCH(io_pgetevents, IO_GETEVENTS)	/* newer versions of libaio call this one */
#endif

#ifndef NO_IO_URING
TRACEPOINT_PROBE(syscalls, sys_enter_io_uring_enter)
{
	begin(args->min_complete ? URING_WAIT : URING_SUBMIT);
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_exit_io_uring_enter)
{
	end();
	return 0;
}

/* The I/O would block, so a worker thread does it. A raw one: the kernel detaches it without waiting for every CPU. */
RAW_TRACEPOINT_PROBE(io_uring_queue_async_work)
{
	u32 first = 0;
	u64 *count = punted.lookup(&first);

	if (count && labkit_is_target())
		(*count)++;
	return 0;
}
#endif

/*
 * The thread that runs now is about to leave the CPU. io_uring's workers are threads of the process too, but make no
 * system calls: a thread counts where it is inside of one, and the first thread of the process everywhere.
 */
TRACEPOINT_PROBE(sched, sched_switch)
{
	u64 thread = bpf_get_current_pid_tgid(), *count;
	struct inside *inside;
	u32 call;

	if (!labkit_is_target())
		return 0;
	inside = threads.lookup(&thread);
	if (!inside && (u32)thread != thread >> 32)
		return 0;
	call = inside ? inside->call : ELSEWHERE;
	/* a thread that could go on has the state 0, or, newer, only bits above the eight that say why it sleeps */
	count = args->prev_state & 0xff ? slept.lookup(&call) : preempted.lookup(&call);
	if (count)
		(*count)++;
	return 0;
}
