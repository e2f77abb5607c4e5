// SPDX-License-Identifier: Apache-2.0
/* io_submit() and io_getevents(): the kernel's older asynchronous I/O. */
#include <sys/uio.h>

#include "engine.h"

#ifdef HAVE_LIBAIO
#include <libaio.h>

static io_context_t aio;
static struct iocb aio_blocks[MAX_DEPTH], *aio_noted[MAX_DEPTH];
static unsigned int aio_noted_count;
static uint64_t aio_submit_calls, aio_wait_calls;

static int64_t read_proc_number(const char *path)
{
	FILE *file = fopen(path, "re");
	long long number = -1;

	if (file) {
		if (fscanf(file, "%lld", &number) != 1)
			number = -1;
		fclose(file);
	}
	return number;
}

static void aio_open(void)
{
	int error = -io_setup((int)set.queue_depth, &aio);

	if (error == EAGAIN)
		unable("--queue-depth %" PRId64 ": libaio allows %" PRId64 " I/Os on this machine, %" PRId64
		       " are taken: close other programs, or run `sysctl -w fs.aio-max-nr=1048576`",
		       set.queue_depth, read_proc_number("/proc/sys/fs/aio-max-nr"),
		       read_proc_number("/proc/sys/fs/aio-nr"));
	if (error == ENOSYS || error == EPERM)
		unable("this kernel, or a seccomp filter on this process, refuses libaio (io_setup: %s): "
		       "allow io_setup in the container's seccomp profile", strerror(error));
	if (error)
		unable("io_setup: %s", strerror(error));
}

static void aio_queue(unsigned int slot, uint64_t offset_bytes, uint32_t done_bytes)
{
	struct iocb *block = &aio_blocks[slot];
	char *buffer = slot_buffer(slot) + done_bytes;
	size_t bytes = (size_t)set.block_bytes - done_bytes;

	if (set.operation == READ)
		io_prep_pread(block, data_file, buffer, bytes, (long long)(offset_bytes + done_bytes));
	else
		io_prep_pwrite(block, data_file, buffer, bytes, (long long)(offset_bytes + done_bytes));
	if (set.operation == WRITE && set.durable == DURABLE_DSYNC)
		block->aio_rw_flags = RWF_DSYNC;
	aio_noted[aio_noted_count++] = block;
}

static void aio_submit(void)
{
	unsigned int taken = 0;

	while (taken < aio_noted_count) {	/* the kernel may take a part only */
		int result = io_submit(aio, aio_noted_count - taken, aio_noted + taken);

		aio_submit_calls++;
		if (result < 0)
			die("io_submit: %s", "Look at `dmesg`; try a smaller --block-bytes and --queue-depth.",
			    strerror(-result));
		taken += (unsigned int)result;
	}
	aio_noted_count = 0;
}

static unsigned int take_events(unsigned int at_least, struct timespec *limit, struct completion *ended)
{
	static struct io_event events[MAX_DEPTH];
	int count;

	do {
		count = io_getevents(aio, at_least, set.queue_depth, events, limit);
		aio_wait_calls++;
	} while (count == -EINTR && !limit);
	if (count < 0 && count != -EINTR)
		die("io_getevents: %s", "Look at `dmesg`.", strerror(-count));
	for (int i = 0; i < count; i++) {
		ended[i].slot = (unsigned int)(events[i].obj - aio_blocks);
		ended[i].result = (int)events[i].res;
	}
	return count < 0 ? 0 : (unsigned int)count;
}

static unsigned int aio_wait(unsigned int at_least, struct completion *ended)
{
	return take_events(at_least, NULL, ended);
}

static unsigned int aio_wait_until(uint64_t until_ns, struct completion *ended)
{
	uint64_t from_ns = now_ns(), rest_ns = until_ns > from_ns ? until_ns - from_ns : 0;
	struct timespec limit = { (time_t)(rest_ns / NS_PER_S), (long)(rest_ns % NS_PER_S) };

	return take_events(1, &limit, ended);
}

static void aio_report_calls(void)
{
	json_integer("io_submit", (int64_t)aio_submit_calls);
	json_integer("io_getevents", (int64_t)aio_wait_calls);
}

static void aio_close(void)
{
	io_destroy(aio);
}

const struct engine libaio_engine = {
	.name = "libaio",
	.asynchronous = true,
	.open = aio_open,
	.queue = aio_queue,
	.submit = aio_submit,
	.wait = aio_wait,
	.wait_until = aio_wait_until,
	.close = aio_close,
	.report_calls = aio_report_calls,
};

#else

static void aio_open(void)
{
	unable("this program was built without libaio: run `apt-get install libaio-dev`, then `make -C c`");
}

const struct engine libaio_engine = { .name = "libaio", .open = aio_open };

#endif
