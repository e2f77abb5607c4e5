// SPDX-License-Identifier: Apache-2.0
/*
 * preadv2(RWF_NOWAIT) reads what is in the page cache and never sleeps. When a
 * part is missing it says EAGAIN, or returns less. Then a pread(), which may
 * sleep, reads the rest. A server does the same to keep its event loop from
 * sleeping: it gives the second read to a thread.
 */
#include <sys/uio.h>

#include "cache.h"
#include "engine.h"

static struct completion io;
static uint64_t io_offset_bytes;
static uint64_t nowait_calls, blocking_calls, blocked_ios;

static ssize_t read_cached(char *buffer, size_t bytes, uint64_t offset_bytes)
{
	struct iovec whole = { buffer, bytes };

	return preadv2(data_file, &whole, 1, (off_t)offset_bytes, RWF_NOWAIT);
}

static void nowait_open(void)
{
	if (read_cached(buffers, (size_t)set.block_bytes, 0) < 0 && errno == EOPNOTSUPP)
		unable("the file system of the data file has no RWF_NOWAIT: choose another --folder or --engine");
	if (set.cache == COLD)	/* the kernel may have begun to read */
		drop_cache();
}

static void nowait_queue(unsigned int slot, uint64_t offset_bytes, uint32_t done_bytes)
{
	(void)done_bytes;	/* submit() moves the whole block */
	io.slot = slot;
	io_offset_bytes = offset_bytes;
}

static void nowait_submit(void)
{
	char *buffer = slot_buffer(io.slot);
	ssize_t cached = read_cached(buffer, (size_t)set.block_bytes, io_offset_bytes);

	nowait_calls++;
	if (cached == set.block_bytes) {
		io.result = (int)cached;
		return;
	}
	if (cached < 0 && errno != EAGAIN && errno != EINTR) {
		io.result = -errno;
		return;
	}
	blocked_ios++;
	sync_move(buffer, io_offset_bytes, cached > 0 ? (uint32_t)cached : 0, &blocking_calls);
	io.result = (int)set.block_bytes;
}

static unsigned int nowait_wait(unsigned int at_least, struct completion *ended)
{
	(void)at_least;
	ended[0] = io;
	return 1;
}

static void nowait_close(void)
{
}

static void nowait_report_calls(void)
{
	json_integer("preadv2", (int64_t)nowait_calls);
	json_integer("pread64", (int64_t)blocking_calls);
}

static void nowait_report(void)
{
	json_integer("cached_ios", (int64_t)(nowait_calls - blocked_ios));
	json_integer("blocked_ios", (int64_t)blocked_ios);
}

const struct engine nowait_engine = {
	.name = "nowait",
	.open = nowait_open,
	.queue = nowait_queue,
	.submit = nowait_submit,
	.wait = nowait_wait,
	.close = nowait_close,
	.report_calls = nowait_report_calls,
	.report = nowait_report,
};
