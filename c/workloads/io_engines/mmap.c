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

#define MOST_BUS_ERRORS 1000

static char *mapped;
static volatile uint64_t bus_errors;
static struct completion io;
static uint64_t io_offset_bytes;
static struct rusage at_open;

/*
 * Where the disk fails, or the file has become shorter, the copy gets a signal instead of an error. A pread() of the
 * same place knows the reason. If it succeeds, the page is there now: the copy goes on where it was. The signal can
 * only come from the copy, so functions of the C library may be called here.
 */
static void on_bus_error(int signal_number, siginfo_t *about, void *context)
{
	uint64_t offset_bytes = (uint64_t)((char *)about->si_addr - mapped);
	uint32_t tries = 0;
	ssize_t got;
	char byte;

	(void)signal_number;
	(void)context;
	do
		got = pread(data_file, &byte, 1, (off_t)offset_bytes);
	while (got < 0 && ask_again(errno, &tries));
	if (got <= 0 || ++bus_errors > MOST_BUS_ERRORS)
		fail_at(io_offset_bytes, got < 0 ? -errno : got == 0 ? 0 : -EIO);
	repeats++;
}

static void mmap_open(void)
{
	struct sigaction action = { .sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO };

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
