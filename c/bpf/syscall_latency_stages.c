/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 06: where does the time of a read go? One record each time an I/O of a watched process reaches a station.
 *
 *	ENTERED		the system call begins
 *	QUEUED		the file system has made a request of the block layer
 *	ISSUED		the request goes to the device
 *	COMPLETED	the device has answered
 *	RUNNING		the scheduler lets the thread run again
 *	RETURNED	the system call ends
 *
 * Python puts the records of one I/O together (labkit/lessons/syscall_latency/io_stages.py). ENTER and EXIT are
 * given when this file is compiled, such as sys_enter_pread64. Only fields of tracepoints are read, no structs of
 * the kernel: those differ from version to version.
 */
#include "labkit.h"

/* TRACEPOINT_PROBE pastes its arguments; this extra step lets ENTER become its value first. */
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
	u32 device;	/* of a request: the whole disk, as the kernel numbers it */
	u32 reserved;
};

/* An I/O in flight. */
struct io {
	u64 number;
	u32 pid, tid;
	u32 busy;	/* 0 between two calls */
};

BPF_HASH(threads, u32, struct io, 1024);	/* by the kernel's own thread number, as sched_switch has it */

/* A request. The sector alone does not name it: the members of a RAID or of a device mapper share sector numbers. */
struct place {
	u64 sector;	/* its first one */
	u64 device;
};

BPF_HASH(requests, struct place, struct io, 16384);
BPF_HASH(disk_of, u32, u32, 1024);	/* partition -> its disk: block_getrq names the one, the others the other */
BPF_RINGBUF_OUTPUT(events, (2 << 20) / PAGE_SIZE);	/* 2 MiB, whatever the size of a page */

static __always_inline struct place place_of(u64 sector, u32 device)
{
	u32 *disk = disk_of.lookup(&device);
	struct place place = { .sector = sector, .device = disk ? *disk : device };

	return place;
}

static __always_inline void record(struct io *io, u32 station, u64 where, u32 bytes, u32 device)
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
	event->device = device;
	event->reserved = 0;
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
		if (threads.update(&thread, &fresh)) {	/* the map is full */
			labkit_count_lost();
			return 0;
		}
		io = threads.lookup(&thread);
		if (!io)	/* the verifier insists */
			return 0;
	}
	io->number++;
	io->busy = 1;
	record(io, ENTERED, args->pos, args->count, 0);
	return 0;
}

/* The block layer makes a request for the thread that runs now: here the request gets its owner. */
TRACEPOINT_PROBE(block, block_getrq)
{
	struct place place = place_of(args->sector, args->dev);
	struct io *io = current_io();

	if (!io)
		return 0;
	if (requests.update(&place, io))
		labkit_count_lost();
	record(io, QUEUED, place.sector, args->nr_sector * 512, place.device);
	return 0;
}

static __always_inline void issue(struct place place, u32 bytes)
{
	struct io *io = requests.lookup(&place);

	if (io)
		record(io, ISSUED, place.sector, bytes, place.device);
}

static __always_inline void complete(struct place place, u32 bytes)
{
	struct io *io = requests.lookup(&place);

	if (!io)
		return;
	record(io, COMPLETED, place.sector, bytes, place.device);
	requests.delete(&place);
}

/*
 * These two may run in an interrupt, while any thread is on the CPU: the request says whose it is. The kernel passes
 * over a program of an ordinary tracepoint now and then, when the interrupt hits other work on tracepoints or maps,
 * and does not always count that. A raw tracepoint is skipped only where this very program is running already. It
 * gives the request itself: RAW where the kernel describes its structures (BTF) says which argument of block_rq_issue
 * it is, RQ_DISK is given where a request names its disk.
 */
#ifdef RAW
#define READ(into, from) bpf_probe_read_kernel(&(into), sizeof(into), &(from))

static __always_inline struct place place_of_request(struct request *request)
{
	struct request_queue *queue = NULL;
	struct gendisk *disk = NULL;
	u32 major = 0, minor = 0;
	u64 sector = 0;

#ifdef RQ_DISK	/* before Linux 5.17 */
	READ(disk, request->rq_disk);
#else
	READ(queue, request->q);
	READ(disk, queue->disk);
#endif
	READ(major, disk->major);
	READ(minor, disk->first_minor);
	READ(sector, request->__sector);
	return place_of(sector, major << 20 | minor);
}

RAW_TRACEPOINT_PROBE(block_rq_issue)		/* struct request *request; before Linux 5.11 the second argument */
{
	struct request *request = (struct request *)ctx->args[RAW];
	u32 bytes = 0;

	READ(bytes, request->__data_len);
	issue(place_of_request(request), bytes);
	return 0;
}

RAW_TRACEPOINT_PROBE(block_rq_complete)		/* struct request *request, int error, unsigned int bytes */
{
	complete(place_of_request((struct request *)ctx->args[0]), ctx->args[2]);
	return 0;
}
#else
TRACEPOINT_PROBE(block, block_rq_issue)
{
	issue(place_of(args->sector, args->dev), args->nr_sector * 512);
	return 0;
}

TRACEPOINT_PROBE(block, block_rq_complete)
{
	complete(place_of(args->sector, args->dev), args->nr_sector * 512);
	return 0;
}
#endif

TRACEPOINT_PROBE(sched, sched_switch)
{
	u32 thread = args->next_pid;	/* a thread's number, whatever its name says */
	struct io *io = threads.lookup(&thread);

	if (io && io->busy)
		record(io, RUNNING, 0, 0, 0);
	return 0;
}

PROBE(syscalls, EXIT)
{
	struct io *io = current_io();

	if (!io)
		return 0;
	record(io, RETURNED, args->ret, 0, 0);
	io->busy = 0;
	return 0;
}

/* A thread is gone: so is its entry. */
TRACEPOINT_PROBE(sched, sched_process_exit)
{
	u32 thread = bpf_get_current_pid_tgid();

	threads.delete(&thread);
	return 0;
}
