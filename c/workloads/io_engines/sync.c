// SPDX-License-Identifier: Apache-2.0
/* pread() and pwrite(): the call returns when the I/O is done. "Noted down" and "ended" are single variables. */
#include <sys/uio.h>

#include "engine.h"

static struct completion io;
static uint64_t io_offset_bytes, calls;

static inline ssize_t move_once(char *buffer, size_t bytes, off_t offset)
{
	struct iovec part = { buffer, bytes };

	if (set.operation == READ)
		return pread(data_file, buffer, bytes, offset);
	if (set.durable == DURABLE_DSYNC)
		return pwritev2(data_file, &part, 1, offset, RWF_DSYNC);
	return pwrite(data_file, buffer, bytes, offset);
}

void sync_move(char *buffer, uint64_t offset_bytes, uint32_t done_bytes, uint64_t *calls_made)
{
	uint32_t tries = 0;

	for (;;) {
		ssize_t moved = move_once(buffer + done_bytes, (size_t)set.block_bytes - done_bytes,
					  (off_t)(offset_bytes + done_bytes));

		(*calls_made)++;
		if (moved + done_bytes == set.block_bytes)
			return;
		if (moved == 0 || (moved < 0 && !ask_again(errno, &tries)))
			fail_at(offset_bytes, moved ? -errno : 0);
		if (moved > 0) {
			done_bytes += (uint32_t)moved;
			tries = 0;
		}
		__atomic_fetch_add(&repeats, 1, __ATOMIC_RELAXED);	/* threads of the pool count together */
	}
}

const char *sync_call_name(void)
{
	return set.operation == READ ? "pread64" : set.durable == DURABLE_DSYNC ? "pwritev2" : "pwrite64";
}

static void sync_open(void)
{
}

static void sync_queue(unsigned int slot, uint64_t offset_bytes, uint32_t done_bytes)
{
	(void)done_bytes;	/* submit() moves the whole block */
	io.slot = slot;
	io_offset_bytes = offset_bytes;
}

static void sync_submit(void)
{
	sync_move(slot_buffer(io.slot), io_offset_bytes, 0, &calls);
	io.result = (int)set.block_bytes;
}

static unsigned int sync_wait(unsigned int at_least, struct completion *ended)
{
	(void)at_least;
	ended[0] = io;
	return 1;
}

static void sync_close(void)
{
}

static void sync_report_calls(void)
{
	json_integer(sync_call_name(), (int64_t)calls);
}

const struct engine sync_engine = {
	.name = "sync",
	.open = sync_open,
	.queue = sync_queue,
	.submit = sync_submit,
	.wait = sync_wait,
	.close = sync_close,
	.report_calls = sync_report_calls,
};
