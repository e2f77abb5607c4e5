// SPDX-License-Identifier: Apache-2.0
/*
 * The file is mapped into memory, and reading is copying. There is no system
 * call: the first touch of a page that is not mapped yet is a page fault, and
 * the kernel reads the page if it is not in the page cache.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "engine.h"

static char *mapped;
static struct completion io;
static uint64_t io_offset_bytes;
static struct rusage at_open;

/* Where the disk fails, or the file has become shorter, the copy gets a signal instead of an error. */
static void on_bus_error(int signal_number)
{
	static const char message[] = "io_engines: a mapped page could not be read\n"
				      "Look at `dmesg`, and leave the file alone while this runs.\n";

	(void)signal_number;
	if (write(STDERR_FILENO, message, sizeof(message) - 1) < 0)
		_exit(1);
	_exit(1);
}

static void mmap_open(void)
{
	struct sigaction action = { .sa_handler = on_bus_error };

	mapped = mmap(NULL, (size_t)set.file_bytes, PROT_READ, MAP_SHARED, data_file, 0);
	if (mapped == MAP_FAILED)
		unable("the file system of the data file cannot map it into memory: %s", strerror(errno));
	if (madvise(mapped, (size_t)set.file_bytes, set.order == RANDOM ? MADV_RANDOM : MADV_SEQUENTIAL))
		die("madvise: %s", "Report this: it cannot fail here.", strerror(errno));
	sigaction(SIGBUS, &action, NULL);
	getrusage(RUSAGE_SELF, &at_open);
}

static void mmap_unmap_pages(void)
{
	if (madvise(mapped, (size_t)set.file_bytes, MADV_DONTNEED))
		die("madvise: %s", "Report this: it cannot fail here.", strerror(errno));
}

static void mmap_queue(unsigned int slot, uint64_t offset_bytes, uint32_t done_bytes)
{
	(void)done_bytes;	/* a copy is always whole */
	io.slot = slot;
	io_offset_bytes = offset_bytes;
}

static void mmap_submit(void)
{
	memcpy(slot_buffer(io.slot), mapped + io_offset_bytes, (size_t)set.block_bytes);
	io.result = (int)set.block_bytes;
}

static unsigned int mmap_wait(unsigned int at_least, struct completion *ended)
{
	(void)at_least;
	ended[0] = io;
	return 1;
}

static void mmap_close(void)
{
	munmap(mapped, (size_t)set.file_bytes);
}

static void mmap_report_calls(void)
{
}

static void mmap_report(void)
{
	struct rusage now;

	getrusage(RUSAGE_SELF, &now);
	json_integer("minor_faults", now.ru_minflt - at_open.ru_minflt);
	json_integer("major_faults", now.ru_majflt - at_open.ru_majflt);
}

const struct engine mmap_engine = {
	.name = "mmap",
	.open = mmap_open,
	.queue = mmap_queue,
	.submit = mmap_submit,
	.wait = mmap_wait,
	.unmap_pages = mmap_unmap_pages,
	.close = mmap_close,
	.report_calls = mmap_report_calls,
	.report = mmap_report,
};
