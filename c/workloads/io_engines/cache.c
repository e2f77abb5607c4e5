// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cache.h"
#include "engine.h"
#include "file_system.h"

#define CHUNK_BYTES (1 << 20)
#define WINDOW_PAGES (1 << 18)
#define TRIES 100
#define PAUSE_US 10000

/* Only those who may write to a file can ask the kernel which of its pages are in the page cache. */
static bool may_look(void)
{
	struct stat about;

	return geteuid() == 0 || (!fstat(data_file, &about) && about.st_uid == geteuid());
}

static int64_t count_window(off_t offset, size_t bytes, size_t page_bytes)
{
	static unsigned char in_memory[WINDOW_PAGES];
	char *window = mmap(NULL, bytes, PROT_READ, MAP_SHARED, data_file, offset);
	int64_t found = 0;

	if (window == MAP_FAILED)
		return -1;
	if (mincore(window, bytes, in_memory))
		found = -1;
	for (size_t i = 0; found >= 0 && i < (bytes + page_bytes - 1) / page_bytes; i++)
		found += in_memory[i] & 1;
	munmap(window, bytes);
	return found;
}

int64_t count_resident_pages(void)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE), window = WINDOW_PAGES * page_bytes;
	int64_t found, sum = 0;

	if (!may_look())
		return -1;
	for (int64_t offset = 0; offset < set.file_bytes; offset += (int64_t)window) {
		size_t rest = (size_t)(set.file_bytes - offset);

		found = count_window(offset, rest < window ? rest : window, page_bytes);
		if (found < 0)
			return -1;
		sum += found;
	}
	return sum;
}

/* Dirty pages would stay, so write them first. A page that another CPU is using stays too, so try again. */
void drop_cache(void)
{
	int64_t resident = 0;
	int error = 0;

	for (int i = 0; i < TRIES; i++) {
		if (fdatasync(data_file))
			die("fdatasync: %s", "Look at `dmesg`: the disk refuses to write.", strerror(errno));
		error = posix_fadvise(data_file, 0, 0, POSIX_FADV_DONTNEED);
		if (error || set.cache != COLD)
			break;
		resident = count_resident_pages();
		if (resident <= 0)
			return;
		sleep_us(PAUSE_US);
	}
	if (set.cache != COLD)
		return;
	if (error)
		unable("the file system of the data file (%s) cannot empty the page cache (%s): choose another "
		       "--folder, or --cache direct or warm", file_system_name(), strerror(error));
	unable("%" PRId64 " pages of the data file stay in the page cache: end the program that maps or locks them, "
	       "or use --cache direct or warm", resident);
}

void warm_cache(void)
{
	char *chunk = malloc(CHUNK_BYTES);
	ssize_t got;

	if (!chunk || lseek(data_file, 0, SEEK_SET) < 0)
		die("cannot read the data file into the page cache: %s", "Free some memory.", strerror(errno));
	do
		got = read_patiently(chunk, CHUNK_BYTES);
	while (got > 0);
	if (got < 0)
		die("cannot read the data file into the page cache: %s", "Look at `dmesg`.", strerror(errno));
	free(chunk);
}
