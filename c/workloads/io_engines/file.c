// SPDX-License-Identifier: Apache-2.0
/*
 * The data file: made, filled with a pattern that can be checked, brought into
 * the page cache or out of it. It never has a name, so nothing is left behind
 * however the program ends.
 *
 * Everything here uses read() and write(). The preads and pwrites of this
 * process are therefore the measured ones alone.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "cache.h"
#include "engine.h"
#include "file.h"
#include "file_system.h"
#include "pattern.h"

#define CHUNK_BYTES (1 << 20)
#define LEAST_BYTES (64ll << 20)
#define BLOCKS_PER_PLACE 8

int64_t file_bytes_wanted, resident_pages = -1;

static int open_nameless(void)
{
	char *path;
	int file = open(set.folder, O_TMPFILE | O_RDWR | O_CLOEXEC | O_NOATIME, 0600);

	if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return file;

	/* This file system wants a name: give it one and take it away at once. */
	if (asprintf(&path, "%s/io_engines.XXXXXX", set.folder) < 0)
		return -1;
	file = mkostemp(path, O_CLOEXEC | O_NOATIME);
	if (file >= 0)
		unlink(path);
	free(path);
	return file;
}

static uint64_t free_bytes(void)
{
	struct statfs about;

	if (fstatfs(data_file, &about))
		die("--folder %s: %s", "Choose another --folder.", set.folder, strerror(errno));
	return (uint64_t)about.f_bavail * (uint64_t)about.f_bsize / 10 * 9;	/* a tenth is left to others */
}

/*
 * Without --file-bytes, the file is large enough for every I/O in flight to have eight blocks to choose from, or as
 * large as the folder has room for.
 */
static void choose_file_bytes(void)
{
	int64_t room = (int64_t)free_bytes(), blocks = BLOCKS_PER_PLACE * set.queue_depth * set.block_bytes;

	file_bytes_wanted = set.file_bytes;
	if (!set.file_bytes)
		file_bytes_wanted = blocks > LEAST_BYTES ? blocks : LEAST_BYTES;
	if (set.file_bytes > room)
		die("--file-bytes %" PRId64 ": only %" PRId64 " bytes are free in --folder %s",
		    "Give a smaller --file-bytes, free some space, or choose another --folder.", set.file_bytes,
		    room, set.folder);
	set.file_bytes = file_bytes_wanted < room ? file_bytes_wanted : room;
}

/* A signal, or the file system, may end a write early. */
static void write_all(const char *chunk, size_t bytes)
{
	while (bytes) {
		ssize_t written = write(data_file, chunk, bytes);

		if (written < 0 && errno != EINTR)
			die("cannot fill the data file in --folder %s: %s",
			    "Give a smaller --file-bytes, free some space, or choose another --folder.", set.folder,
			    strerror(errno));
		if (written > 0) {
			chunk += written;
			bytes -= (size_t)written;
		}
	}
}

static void fill_file(void)
{
	char *chunk = malloc(CHUNK_BYTES);
	int64_t offset = 0;

	if (!chunk)
		die("no memory for a buffer", "Free some memory.");
	while (offset < set.file_bytes) {
		int64_t bytes = set.file_bytes - offset < CHUNK_BYTES ? set.file_bytes - offset : CHUNK_BYTES;

		pattern_fill(chunk, (uint64_t)set.seed, (uint64_t)offset, (uint64_t)bytes);
		write_all(chunk, (size_t)bytes);
		offset += bytes;
	}
	free(chunk);
}

/* ---- O_DIRECT ---- */

/*
 * From 6.1 on the kernel says what O_DIRECT asks for, and an alignment of 0 means: not on this file. Else we take what
 * every disk accepts, and try.
 */
struct alignment direct_alignment(void)
{
	struct alignment asked = { 1, 1 };
#ifdef STATX_DIOALIGN
	struct statx about;

	if (set.cache == DIRECT && !statx(data_file, "", AT_EMPTY_PATH, STATX_DIOALIGN, &about) &&
	    (about.stx_mask & STATX_DIOALIGN))
		asked = (struct alignment){ about.stx_dio_offset_align, about.stx_dio_mem_align };
#endif
	if (!asked.file_bytes || !asked.memory_bytes)
		unable("%s in --folder %s has no O_DIRECT for this file (statx: its alignment is 0): choose a --folder "
		       "on another file system, or --cache cold or warm", file_system_name(), set.folder);
	if (set.block_bytes % asked.file_bytes)
		die("--block-bytes %" PRId64 " is not a multiple of %" PRId64
		    ", the sector here: O_DIRECT moves whole sectors",
		    "Pass a multiple of the sector to --block-bytes, or use --cache cold or warm.", set.block_bytes,
		    asked.file_bytes);
	return asked;
}

static void use_direct(void)
{
	int64_t got = 0;
	ssize_t part = 1;

	if (fcntl(data_file, F_SETFL, fcntl(data_file, F_GETFL) | O_DIRECT))	/* O_NOATIME stays */
		unable("%s in --folder %s has no O_DIRECT (%s): choose a --folder on a disk, or --cache cold or warm",
		       file_system_name(), set.folder, strerror(errno));
	/* Not every kernel says what it wants, so try. */
	if (lseek(data_file, 0, SEEK_SET))
		die("cannot go to the beginning of the data file: %s", "Name a regular file.", strerror(errno));
	for (; got < set.block_bytes && part > 0; got += part)
		part = read_patiently(buffers + got, (size_t)(set.block_bytes - got));
	if (part == 0)
		fail_at(0, 0);
	if (part < 0 && errno != EINVAL)
		fail_at(0, -errno);
	if (part < 0)
		die("--block-bytes %" PRId64 ": an O_DIRECT read of this size fails: %s",
		    "Allowed with --cache direct: multiples of the device's sector, mostly 512 or 4096 bytes.",
		    set.block_bytes, strerror(errno));
}

/* ---- open, and prepare ---- */

static void open_given(void)
{
	struct stat about;

	/* O_NOATIME: reading must not become writing. Only the owner may ask for it. */
	data_file = open(set.file, O_RDONLY | O_CLOEXEC | (set.atime ? 0 : O_NOATIME));
	if (data_file < 0 && errno == EPERM)
		data_file = open(set.file, O_RDONLY | O_CLOEXEC);
	if (data_file < 0 || fstat(data_file, &about))
		die("--file %s: %s", "Name a file that exists and that you may read.", set.file, strerror(errno));
	if (!S_ISREG(about.st_mode))
		die("--file %s is not a regular file", "Name a regular file.", set.file);
	file_bytes_wanted = set.file_bytes ? set.file_bytes : about.st_size;
	set.file_bytes = file_bytes_wanted < about.st_size ? file_bytes_wanted : about.st_size;
}

/* On a file system in memory the page cache is the file: nothing bypasses it and nothing empties it. */
static void refuse_memory(void)
{
	const char *name = file_system_name();

	if (set.cache != WARM && (!strcmp(name, "tmpfs") || !strcmp(name, "ramfs")))
		unable("%s is in memory (%s), where there is no disk to read from: choose a --folder on a disk, or "
		       "--cache warm", set.file ? set.file : set.folder, name);
}

void open_file(void)
{
	if (set.file) {
		open_given();
	} else {
		data_file = open_nameless();
		if (data_file < 0)
			die("--folder %s: %s", "Name a folder that exists and in which you may write.", set.folder,
			    strerror(errno));
		choose_file_bytes();
	}
	refuse_memory();
	if (set.file_bytes < set.block_bytes)
		die("a file of %" PRId64 " bytes is smaller than one block of %" PRId64,
		    "Give a smaller --block-bytes or a larger file.", set.file_bytes, set.block_bytes);
	set.file_bytes -= set.file_bytes % set.block_bytes;
}

void prepare_file(void)
{
	if (!set.file)
		fill_file();
	drop_cache();
	posix_fadvise(data_file, 0, 0, set.order == RANDOM ? POSIX_FADV_RANDOM : POSIX_FADV_SEQUENTIAL);
	if (set.cache == WARM)
		warm_cache();
	resident_pages = count_resident_pages();
	if (set.cache == DIRECT)
		use_direct();
}
