/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of io_engines.c share: the settings, and the table of
 * functions behind which the three engines look alike.
 */
#ifndef IO_ENGINES_H
#define IO_ENGINES_H

#include "workload.h"

#define MAX_DEPTH 1024

enum operation { READ, WRITE };
enum order { RANDOM, SEQUENTIAL };
enum cache { DIRECT, COLD, WARM };
enum taskrun { TASKRUN_AUTO, TASKRUN_DEFER, TASKRUN_COOP, TASKRUN_PLAIN };
enum verify { VERIFY_NO, VERIFY_AFTER, VERIFY_DURING };

static struct settings {
	int engine, operation, order, cache, taskrun, verify;
	int64_t block_bytes, file_bytes, queue_depth, batch, wait_for, ios, seed;
	int64_t fdatasync_every, sqpoll_idle_ms, sqpoll_cpu, iowq_bounded, iowq_unbounded, timeline_ios;
	double seconds;
	bool one_call, registered_buffers, registered_files, sqpoll, spin, force_async, no_timing;
	const char *folder, *file, *timeline;
} set = {
	.operation = READ, .order = RANDOM, .cache = DIRECT, .seconds = 1,
	.block_bytes = 4096, .file_bytes = 64 << 20, .queue_depth = 1, .batch = 1, .wait_for = 1, .seed = 1,
	.sqpoll_idle_ms = 1000, .sqpoll_cpu = -1, .timeline_ios = 100000, .folder = ".",
};

/* The data file, and one buffer of block_bytes for each I/O in flight. */
static int data_file = -1;
static char *buffers;

static inline char *slot_buffer(unsigned int slot)
{
	return buffers + (size_t)slot * (size_t)set.block_bytes;
}

/* An I/O that has ended: its slot, and the bytes moved or -errno. */
struct completion {
	unsigned int slot;
	int result;
};

/*
 * One way to do I/O. queue() notes down one I/O; submit() submits the noted ones
 * to the kernel; wait() returns when at least `at_least` have ended, and which.
 */
struct engine {
	void (*open)(void);
	void (*queue)(unsigned int slot, uint64_t offset);
	void (*submit)(void);
	unsigned int (*wait)(unsigned int at_least, struct completion *ended);
	void (*close)(void);
	void (*report_calls)(void);	/* how many system calls it made, into the JSON */
	void (*report)(void);		/* what else it has to say, or NULL */
};

#endif
