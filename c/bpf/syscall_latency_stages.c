/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 06: where does the time of a read go? One record each time an I/O of a watched process passes a station.
 *
 *	ENTERED		the system call begins
 *	QUEUED		the file system has made a request of the block layer
 *	ISSUED		the request goes to the device
 *	COMPLETED	the device has answered
 *	RUNNING		the scheduler lets the thread run again
 *	RETURNED	the system call ends
 *
 * Python puts the records of one I/O together (labkit/lessons/syscall_latency/stage_times.py). ENTER and EXIT are
 * given when this file is compiled, such as sys_enter_pread64. Only fields of tracepoints are read, no structs of
 * the kernel: those differ from version to version.
 */
#include "labkit.h"

/* TRACEPOINT_PROBE pastes its arguments; one step between lets ENTER become its value first. */
#define PROBE(category, event) TRACEPOINT_PROBE(category, event)

enum station { ENTERED, QUEUED, ISSUED, COMPLETED, RUNNING, RETURNED };

struct stage_event {
	u64 time_ns;
	u64 io;		/* number of the I/O of this thread, from 1 */
	u64 where;	/* ENTERED: offset in the file; RETURNED: bytes, or -errno; of a request: its first sector */
	u32 pid;
	u32 tid;
	u32 station;
	u32 bytes;	/* asked for */
};

/* An I/O that is under way. */
struct io {
	u64 number;
	u32 pid, tid;
	u32 busy;	/* 0 between two calls */
};

BPF_HASH(threads, u32, struct io, 1024);	/* by the machine's own thread number, as sched_switch gives it */
BPF_HASH(requests, u64, struct io, 16384);	/* by first sector; the device is not told alike at all stations (partition, disk) */
BPF_RINGBUF_OUTPUT(events, 512);

static __always_inline void record(struct io *io, u32 station, u64 where, u32 bytes)
{
	struct stage_event *event = events.ringbuf_reserve(sizeof(*event));

	if (!event) {
		labkit_count_lost();
		return;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->io = io->number;
	event->where = where;
	event->pid = io->pid;
	event->tid = io->tid;
	event->station = station;
	event->bytes = bytes;
	events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

static __always_inline struct io *current_io(void)
{
	u32 thread = bpf_get_current_pid_tgid();
	struct io *io = threads.lookup(&thread);

	return io && io->busy ? io : NULL;
}

PROBE(syscalls, ENTER)
{
	u32 thread = bpf_get_current_pid_tgid();
	struct io fresh = {}, *io;

	if (!labkit_is_target())
		return 0;
	io = threads.lookup(&thread);
	if (!io) {
		fresh.pid = labkit_pid();
		fresh.tid = labkit_tid();
		threads.update(&thread, &fresh);
		io = threads.lookup(&thread);
		if (!io) {	/* the map is full */
			labkit_count_lost();
			return 0;
		}
	}
	io->number++;
	io->busy = 1;
	record(io, ENTERED, args->pos, args->count);
	return 0;
}

/* The block layer makes a request for the thread that runs now: here the request gets its owner. */
TRACEPOINT_PROBE(block, block_getrq)
{
	struct io *io = current_io();
	u64 sector = args->sector;

	if (!io)
		return 0;
	if (requests.update(&sector, io))
		labkit_count_lost();
	record(io, QUEUED, sector, args->nr_sector * 512);
	return 0;
}

TRACEPOINT_PROBE(block, block_rq_issue)
{
	u64 sector = args->sector;
	struct io *io = requests.lookup(&sector);

	if (io)
		record(io, ISSUED, sector, args->nr_sector * 512);
	return 0;
}

/* Runs in an interrupt, while anybody may be on the CPU: the request tells whose it is. */
TRACEPOINT_PROBE(block, block_rq_complete)
{
	u64 sector = args->sector;
	struct io *io = requests.lookup(&sector);

	if (!io)
		return 0;
	record(io, COMPLETED, sector, args->nr_sector * 512);
	requests.delete(&sector);
	return 0;
}

TRACEPOINT_PROBE(sched, sched_switch)
{
	u32 thread = args->next_pid;	/* a thread's number, whatever its name says */
	struct io *io = threads.lookup(&thread);

	if (io && io->busy)
		record(io, RUNNING, 0, 0);
	return 0;
}

PROBE(syscalls, EXIT)
{
	struct io *io = current_io();

	if (!io)
		return 0;
	record(io, RETURNED, args->ret, 0);
	io->busy = 0;
	return 0;
}
