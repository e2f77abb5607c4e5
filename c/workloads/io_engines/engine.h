/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of io_engines share: the settings, the data file, and the table
 * of functions that every engine fills in.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "workload.h"

#define MAX_DEPTH 1024

enum operation { READ, WRITE };
enum order { RANDOM, SEQUENTIAL };
enum cache { DIRECT, COLD, WARM };
enum verify { VERIFY_NO, VERIFY_AFTER, VERIFY_DURING };
enum durable { DURABLE_NONE, DURABLE_END, DURABLE_EVERY, DURABLE_DSYNC };

extern struct settings {
	int engine, operation, order, cache, verify, durable;
	int64_t block_bytes, file_bytes, queue_depth, batch, wait_for, ios, seed;
	int64_t sync_every, sqpoll_cpu, timeline_ios;
	double seconds, rate;
	bool atime, no_timing, one_call, registered_buffers, registered_files, registered_ring, sqpoll, spin;
	bool force_async;
	const char *folder, *file, *timeline;
} set;

/* The data file, and a buffer for each I/O in flight: block_bytes long, the next one buffer_step further. */
extern int data_file;
extern char *buffers;
extern size_t buffer_step;

static inline char *slot_buffer(unsigned int slot)
{
	return buffers + (size_t)slot * buffer_step;
}

/* An I/O that has ended: its slot, and the bytes moved or -errno. */
struct completion {
	unsigned int slot;
	int result;
};

/*
 * One way to do I/O. The loop calls queue() for each I/O of a batch, submit()
 * once for the batch, and wait() when it has nothing more to submit.
 */
struct engine {
	const char *name;
	bool asynchronous;	/* submit() returns before the I/O is done */

	/* Sets up what the engine needs; ends the program with the reason if this machine refuses. */
	void (*open)(void);

	/* Notes down one I/O: the bytes of the block at `offset_bytes` that follow the first `done_bytes`. */
	void (*queue)(unsigned int slot, uint64_t offset_bytes, uint32_t done_bytes);

	/* Submits to the kernel what is noted down. */
	void (*submit)(void);

	/* Waits until at least `at_least` I/Os have ended. Returns how many have, and which. */
	unsigned int (*wait)(unsigned int at_least, struct completion *ended);

	/* For the open loop: waits until one I/O has ended, or until that time. NULL: the engine has no open loop. */
	unsigned int (*wait_until)(uint64_t until_ns, struct completion *ended);

	/* A loop that replaces the common one: threads that each make one I/O after the other. Mostly NULL. */
	void (*loop)(void);

	/* Gives back pages of the file that it has mapped, so that they can leave the page cache. Mostly NULL. */
	void (*unmap_pages)(void);

	void (*close)(void);
	void (*report_calls)(void);	/* the number of its system calls, as JSON */
	void (*report)(void);		/* what else it has found out, or NULL */
};

enum { SYNC, POOL, NOWAIT, MMAP, LIBAIO, IO_URING };

extern const struct engine sync_engine, pool_engine, nowait_engine, mmap_engine, libaio_engine, uring_engine;

/*
 * One block by pread() or pwrite(), repeated until all of it is moved: a signal or the file system may end a call
 * early. Adds the calls made to `*calls`, and ends the program if the block cannot be moved.
 */
void sync_move(char *buffer, uint64_t offset_bytes, uint32_t done_bytes, uint64_t *calls);

/* The name of the system call that sync_move() makes. */
const char *sync_call_name(void);

/* ---- an I/O that ends early (failure.c) ---- */

extern uint64_t repeats;	/* I/Os, or rests of I/Os, that were submitted once more */

/*
 * Does this error only ask to try again? A signal (EINTR) or a file system like FUSE may say so, but not forever.
 * `*tries` counts such answers; the caller sets it back to 0 when bytes have come.
 */
bool ask_again(int error, uint32_t *tries);

/* read(), asked again as often as that. */
ssize_t read_patiently(void *into, size_t bytes);

/* Ends the program: `result` is -errno, or 0 if the file ends before the block does. */
__attribute__((noreturn))
void fail_at(uint64_t offset_bytes, int result);

#endif
