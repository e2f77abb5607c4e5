// SPDX-License-Identifier: Apache-2.0
/*
 * Two rings shared with the kernel and, at most, one system call. liburing sets
 * the rings up; the loop writes and reads them itself.
 */
#include <signal.h>
#include <sys/uio.h>

#include "engine.h"

#ifdef HAVE_LIBURING
#include <liburing.h>

#include "sqpoll.h"
#include "uring_refused.h"

static struct io_uring ring;
static unsigned int uring_noted;		/* entries written but not yet shown to the kernel */
static unsigned int uring_flags;		/* for io_uring_enter */
static uint64_t uring_submit_calls, uring_wait_calls, uring_wakeup_calls;

static const struct { unsigned int flag; const char *name; } uring_flag_names[] = {
	{ IORING_SETUP_SQPOLL, "SQPOLL" }, { IORING_SETUP_SQ_AFF, "SQ_AFF" },
	{ IORING_SETUP_COOP_TASKRUN, "COOP_TASKRUN" }, { IORING_SETUP_SINGLE_ISSUER, "SINGLE_ISSUER" },
	{ IORING_SETUP_DEFER_TASKRUN, "DEFER_TASKRUN" },
};

/*
 * When an I/O ends, the kernel has a little work to do in the process's own
 * context. DEFER_TASKRUN leaves it until the process asks for completions,
 * COOP_TASKRUN until it next enters the kernel; else the process is interrupted.
 */
static void uring_open_ring(void)
{
	static const unsigned int taskrun_flags[] = {	/* the newest first: the first that this kernel has is taken */
		IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	const unsigned int plain = sizeof(taskrun_flags) / sizeof(taskrun_flags[0]) - 1;
	int error = EINVAL;

	for (unsigned int i = set.sqpoll ? plain : 0; i <= plain && error == EINVAL; i++) {
		struct io_uring_params params = { .flags = taskrun_flags[i] };

		if (set.sqpoll) {
			params.flags |= IORING_SETUP_SQPOLL;
			params.sq_thread_idle = SQPOLL_IDLE_MS;
		}
		if (set.sqpoll && set.sqpoll_cpu >= 0) {
			params.flags |= IORING_SETUP_SQ_AFF;
			params.sq_thread_cpu = (unsigned int)set.sqpoll_cpu;
		}
		error = -io_uring_queue_init_params((unsigned int)set.queue_depth, &ring, &params);
	}
	if (error == EINVAL && set.sqpoll_cpu >= 0)
		die("--sqpoll-cpu %" PRId64 ": the kernel cannot run its thread there",
		    "Name a CPU that exists and that you may use: see `nproc --all` and `taskset -p $$`.",
		    set.sqpoll_cpu);
	if (error)
		uring_refused(error, set.sqpoll ? " (--sqpoll)" : "");
}

static void uring_register(void)
{
	struct iovec whole[MAX_DEPTH];
	int error = 0;

	for (unsigned int slot = 0; slot < (unsigned int)set.queue_depth; slot++)
		whole[slot] = (struct iovec){ slot_buffer(slot), (size_t)set.block_bytes };
	if (set.registered_buffers)
		error = -io_uring_register_buffers(&ring, whole, (unsigned int)set.queue_depth);
	if (error == ENOMEM)
		unable("--registered-buffers: %" PRId64 " bytes must be locked in memory and the limit is lower: "
		       "raise `ulimit -l`, or lower --queue-depth or --block-bytes", set.queue_depth * set.block_bytes);
	if (error)
		unable("--registered-buffers: %s", strerror(error));
	if (set.registered_files && (error = -io_uring_register_files(&ring, &data_file, 1)))
		unable("--registered-files: %s", strerror(error));
	if (set.registered_ring && io_uring_register_ring_fd(&ring) != 1)
		unable("--registered-ring: this kernel refuses (5.18 and later know it)");
	if (set.registered_ring)
		uring_flags |= IORING_ENTER_REGISTERED_RING;
}

static void uring_open(void)
{
	uring_open_ring();
	if (set.rate && !(ring.features & IORING_FEAT_EXT_ARG))
		unable("this kernel's io_uring cannot wait for a limited time (5.11 and later can): leave --rate out");
	uring_register();
	/*
	 * The ring of submissions holds indices of entries. Entry i always goes into place i, so write them once.
	 * A newer library asks newer kernels to leave the indices out altogether (IORING_SETUP_NO_SQARRAY).
	 */
	for (unsigned int i = 0; ring.sq.array && i < ring.sq.ring_entries; i++)
		ring.sq.array[i] = i;
}

static void uring_queue(unsigned int slot, uint64_t offset_bytes, uint32_t done_bytes)
{
	int file = set.registered_files ? 0 : data_file;	/* 0: the first of the registered ones */
	char *buffer = slot_buffer(slot) + done_bytes;
	unsigned int bytes = (unsigned int)set.block_bytes - done_bytes;
	uint64_t offset = offset_bytes + done_bytes;
	struct io_uring_sqe *sqe;

	/* Under SQPOLL an I/O can end a moment before its entry is given back: wait for that. */
	while (!(sqe = io_uring_get_sqe(&ring)))
		;
	if (set.operation == READ && set.registered_buffers)
		io_uring_prep_read_fixed(sqe, file, buffer, bytes, offset, (int)slot);
	else if (set.operation == READ)
		io_uring_prep_read(sqe, file, buffer, bytes, offset);
	else if (set.registered_buffers)
		io_uring_prep_write_fixed(sqe, file, buffer, bytes, offset, (int)slot);
	else
		io_uring_prep_write(sqe, file, buffer, bytes, offset);
	sqe->flags = (set.registered_files ? IOSQE_FIXED_FILE : 0) | (set.force_async ? IOSQE_ASYNC : 0);
	if (set.operation == WRITE && set.durable == DURABLE_DSYNC)
		sqe->rw_flags = RWF_DSYNC;
	sqe->user_data = slot;
	uring_noted++;
}

/* The one system call. Returns how many entries the kernel took. */
static unsigned int uring_enter(unsigned int submit, unsigned int at_least, unsigned int flags)
{
	int result = io_uring_enter((unsigned int)ring.enter_ring_fd, submit, at_least, flags | uring_flags, NULL);

	if (result < 0 && result != -EINTR)
		die("io_uring_enter: %s", "Look at `dmesg`; try a smaller --block-bytes and --queue-depth.",
		    strerror(-result));
	return result < 0 ? 0 : (unsigned int)result;
}

/* Shows the kernel the new tail of the submission ring: from here on the entries are its own. */
static void uring_publish(void)
{
	ring.sq.sqe_head = ring.sq.sqe_tail;
	io_uring_smp_store_release(ring.sq.ktail, ring.sq.sqe_tail);
}

static void uring_submit(void)
{
	uring_publish();
	if (set.sqpoll) {
		/* A kernel thread watches the tail. Only when it has gone to sleep must it be woken. */
		uring_noted = 0;
		io_uring_smp_mb();
		if (IO_URING_READ_ONCE(*ring.sq.kflags) & IORING_SQ_NEED_WAKEUP) {
			uring_enter(0, 0, IORING_ENTER_SQ_WAKEUP);
			uring_wakeup_calls++;
		}
		return;
	}
	while (uring_noted && !set.one_call) {
		/* Have I/Os ended meanwhile? Then let the kernel say so in the ring on this way in: it saves a call. */
		bool kernel_waits = IO_URING_READ_ONCE(*ring.sq.kflags) & IORING_SQ_TASKRUN;

		uring_noted -= uring_enter(uring_noted, 0, kernel_waits ? IORING_ENTER_GETEVENTS : 0);
		uring_submit_calls++;
	}
}

static unsigned int take_completions(struct completion *ended)
{
	struct io_uring_cqe *cqe;
	unsigned int head, count = 0;

	io_uring_for_each_cqe(&ring, head, cqe) {
		ended[count].slot = (unsigned int)cqe->user_data;
		ended[count++].result = cqe->res;
	}
	io_uring_cq_advance(&ring, count);
	return count;
}

static unsigned int uring_wait(unsigned int at_least, struct completion *ended)
{
	/* TASKRUN: I/Os have ended, but the kernel waits for us to come in before it says so in the ring. */
	bool kernel_waits = IO_URING_READ_ONCE(*ring.sq.kflags) & IORING_SQ_TASKRUN;

	/* With --one-call, this call also submits the noted entries. Else look first: often no call is needed. */
	while (uring_noted || kernel_waits || io_uring_cq_ready(&ring) < at_least) {
		if (set.spin)
			continue;
		uring_noted -= uring_enter(uring_noted, at_least, IORING_ENTER_GETEVENTS);
		uring_wait_calls++;
		kernel_waits = false;
	}
	return take_completions(ended);
}

/* Since Linux 5.11, the same call takes the time limit. */
static unsigned int uring_wait_until(uint64_t until_ns, struct completion *ended)
{
	uint64_t from_ns = now_ns(), rest_ns = until_ns > from_ns ? until_ns - from_ns : 0;
	struct __kernel_timespec limit = { (int64_t)(rest_ns / NS_PER_S), (long long)(rest_ns % NS_PER_S) };
	struct io_uring_getevents_arg argument = { .sigmask_sz = _NSIG / 8, .ts = (uint64_t)(uintptr_t)&limit };

	if (io_uring_cq_ready(&ring) == 0) {
		int result = io_uring_enter2((unsigned int)ring.enter_ring_fd, 0, 1,
					     IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | uring_flags,
					     (sigset_t *)&argument, sizeof(argument));

		uring_wait_calls++;
		if (result < 0 && result != -ETIME && result != -EINTR)
			die("io_uring_enter: %s", "Look at `dmesg`.", strerror(-result));
	}
	return take_completions(ended);
}

static void uring_report_calls(void)
{
	json_integer("io_uring_enter", (int64_t)(uring_submit_calls + uring_wait_calls + uring_wakeup_calls));
}

static void uring_report(void)
{
	json_open("io_uring_enter", '{');	/* the calls, by what they were for */
	json_integer("submit", (int64_t)uring_submit_calls);
	json_integer("wait", (int64_t)uring_wait_calls);
	json_integer("wakeup", (int64_t)uring_wakeup_calls);
	json_close('}');
	json_open("setup_flags", '[');
	for (size_t i = 0; i < sizeof(uring_flag_names) / sizeof(uring_flag_names[0]); i++) {
		if (ring.flags & uring_flag_names[i].flag)
			json_text(NULL, uring_flag_names[i].name);
	}
	json_close(']');
}

static void uring_close(void)
{
	io_uring_queue_exit(&ring);
}

const struct engine uring_engine = {
	.name = "io_uring",
	.asynchronous = true,
	.open = uring_open,
	.queue = uring_queue,
	.submit = uring_submit,
	.wait = uring_wait,
	.wait_until = uring_wait_until,
	.close = uring_close,
	.report_calls = uring_report_calls,
	.report = uring_report,
};

#else

static void uring_open(void)
{
	unable("this program was built without liburing: run `apt-get install liburing-dev`, then `make -C c`");
}

const struct engine uring_engine = { .name = "io_uring", .open = uring_open };

#endif
