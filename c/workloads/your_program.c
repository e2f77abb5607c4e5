// SPDX-License-Identifier: Apache-2.0
/*
 * Lesson 12: a program that opens files, writes and touches memory, a known number of times.
 *
 *	your_program --go --opens 97 --missing 13 --writes 50 --failed-writes 7 --pages 1000
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "workload.h"

static int64_t opens = 97;
static int64_t missing = 13;
static int64_t writes = 50;
static int64_t failed_writes = 7;
static int64_t pages = 1000;

static const struct option_row options[] = {
	OPTION_INTEGER("opens", &opens, 0, 1000000, "calls", "how often to open a file that exists"),
	OPTION_INTEGER("missing", &missing, 0, 1000000, "calls", "how often to open one that does not"),
	OPTION_INTEGER("writes", &writes, 0, 1000000, "calls", "pwrite(2) of 1, 2, 3, ... bytes"),
	OPTION_INTEGER("failed-writes", &failed_writes, 0, 1000000, "calls", "pwrite(2) of 1000 bytes to a full disk"),
	OPTION_INTEGER("pages", &pages, 0, 1000000, "pages", "of memory, each touched once"),
	OPTIONS_END
};

static int64_t write_some(const char *path, int64_t times, bool growing)
{
	static char block[4096];
	int64_t written = 0;
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	for (int64_t n = 0; n < times && !workload_stopped; n++) {
		ssize_t got = pwrite(fd, block, growing ? (size_t)(n % 4096) + 1 : 1000, 0);

		written += got > 0 ? got : 0;
	}
	close(fd);
	return written;
}

static int64_t touch(int64_t count)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = (size_t)count * page;
	char *memory;

	if (!bytes)
		return 0;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 0;
	madvise(memory, bytes, MADV_NOHUGEPAGE);	/* an error means that there are none: good */
	for (size_t at = 0; at < bytes; at += page)
		((volatile char *)memory)[at] = 1;
	munmap(memory, bytes);
	return count;
}

int main(int argc, char **argv)
{
	int64_t opened = 0, failed = 0;

	workload_begin(argc, argv, "Opens files, writes and touches memory, a known number of times.", options);
	if (!workload_ready())
		return 0;
	for (int64_t n = 0; n < opens + missing && !workload_stopped; n++) {
		int fd = open(n < opens ? "/dev/null" : "/nowhere/labkit", O_RDONLY | O_CLOEXEC);

		if (fd < 0) {
			failed++;
			continue;
		}
		opened++;
		close(fd);
	}
	json_open(NULL, '{');
	json_integer("written_bytes", write_some("/dev/null", writes, true));
	write_some("/dev/full", failed_writes, false);
	json_integer("opened", opened);
	json_integer("not_found", failed);
	json_integer("touched", touch(pages));
	json_close('}');
	return workload_end();
}
