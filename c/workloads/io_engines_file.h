/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data file of io_engines.c: made, filled with a pattern that can be
 * checked, brought into the page cache or out of it. It never has a name, so
 * nothing is left behind however the program ends.
 *
 * Everything here uses read() and write(): whoever counts the preads and
 * pwrites of this process counts the measured ones alone.
 */
#ifndef IO_ENGINES_FILE_H
#define IO_ENGINES_FILE_H

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "io_engines.h"

#define CHUNK_BYTES (1 << 20)

/* Every 64-bit word of the file is made from the seed and its place: a block read from elsewhere cannot pass. */
static inline uint64_t pattern_word(uint64_t seed, uint64_t index)
{
	uint64_t word = index + seed * 0x9e3779b97f4a7c15ull;

	word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ull;
	word = (word ^ (word >> 27)) * 0x94d049bb133111ebull;
	return word ^ (word >> 31);
}

static inline void pattern_fill(char *buffer, uint64_t seed, uint64_t offset, uint64_t bytes)
{
	uint64_t *words = (uint64_t *)buffer;

	for (uint64_t i = 0; i < bytes / 8; i++)
		words[i] = pattern_word(seed, offset / 8 + i);
}

static inline bool pattern_holds(const char *buffer, uint64_t seed, uint64_t offset, uint64_t bytes)
{
	const uint64_t *words = (const uint64_t *)buffer;

	for (uint64_t i = 0; i < bytes / 8; i++) {
		if (words[i] != pattern_word(seed, offset / 8 + i))
			return false;
	}
	return true;
}

/* The sum of all words: whoever has the file can compute it in any order. */
static inline uint64_t checksum(const char *buffer, uint64_t bytes)
{
	const uint64_t *words = (const uint64_t *)buffer;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < bytes / 8; i++)
		sum += words[i];
	return sum;
}

static const char *file_system_name(void)
{
	static const struct { uint32_t magic; const char *name; } known[] = {
		{ EXT4_SUPER_MAGIC, "ext4" }, { XFS_SUPER_MAGIC, "xfs" }, { BTRFS_SUPER_MAGIC, "btrfs" },
		{ TMPFS_MAGIC, "tmpfs" }, { RAMFS_MAGIC, "ramfs" }, { OVERLAYFS_SUPER_MAGIC, "overlayfs" },
		{ F2FS_SUPER_MAGIC, "f2fs" }, { NFS_SUPER_MAGIC, "nfs" }, { FUSE_SUPER_MAGIC, "fuse" },
		{ V9FS_MAGIC, "9p" }, { 0x2fc12fc1, "zfs" },
	};
	static char number[32];
	struct statfs about;

	if (fstatfs(data_file, &about))
		return "unknown";
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].magic == (uint32_t)about.f_type)
			return known[i].name;
	}
	snprintf(number, sizeof(number), "0x%x", (uint32_t)about.f_type);
	return number;
}

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

static void check_free_space(void)
{
	struct statfs about;
	uint64_t free_bytes;

	if (fstatfs(data_file, &about))
		die("--folder %s: %s", "Choose another --folder.", set.folder, strerror(errno));
	free_bytes = (uint64_t)about.f_bavail * (uint64_t)about.f_bsize;
	if (free_bytes / 10 * 9 < (uint64_t)set.file_bytes)
		die("--file-bytes %" PRId64 ": only %" PRIu64 " bytes are free in --folder %s",
		    "Give a smaller --file-bytes, free some space, or choose another --folder.", set.file_bytes,
		    free_bytes, set.folder);
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
		if (write(data_file, chunk, (size_t)bytes) != bytes)
			die("cannot fill the data file in --folder %s: %s",
			    "Give a smaller --file-bytes, free some space, or choose another --folder.", set.folder,
			    strerror(errno));
		offset += bytes;
	}
	free(chunk);
}

/* Takes the pages of this file, and of no other, out of the page cache. Dirty pages would stay: write them first. */
static void drop_cache(void)
{
	if (fdatasync(data_file))
		die("fdatasync: %s", "Look at `dmesg`: the disk refuses to write.", strerror(errno));
	posix_fadvise(data_file, 0, 0, POSIX_FADV_DONTNEED);
}

static void warm_cache(void)
{
	char *chunk = malloc(CHUNK_BYTES);

	if (!chunk || lseek(data_file, 0, SEEK_SET) < 0)
		die("cannot read the data file into the page cache: %s", "Free some memory.", strerror(errno));
	while (read(data_file, chunk, CHUNK_BYTES) > 0)
		;
	free(chunk);
}

/* What O_DIRECT asks of offsets and sizes here, or 0 where the kernel does not say. */
static int64_t direct_alignment(void)
{
#ifdef STATX_DIOALIGN
	struct statx about;

	if (!statx(data_file, "", AT_EMPTY_PATH, STATX_DIOALIGN, &about) && (about.stx_mask & STATX_DIOALIGN))
		return about.stx_dio_offset_align;
#endif
	return 0;
}

static void use_direct(void)
{
	int64_t align = direct_alignment();

	if (align && set.block_bytes % align) {
		fprintf(stderr, "%s: --block-bytes %" PRId64 " is not a multiple of %" PRId64
			", the sector here: O_DIRECT moves whole sectors\n"
			"Allowed with --cache direct: multiples of %" PRId64 ". Or take --cache cold or warm.\n",
			program_invocation_short_name, set.block_bytes, align, align);
		exit(1);
	}
	if (fcntl(data_file, F_SETFL, fcntl(data_file, F_GETFL) | O_DIRECT))	/* O_NOATIME stays */
		unable("%s in --folder %s has no O_DIRECT (%s): choose a --folder on a disk, or --cache cold or warm",
		       file_system_name(), set.folder, strerror(errno));
	/* Not every kernel says what it wants, so try. */
	if (lseek(data_file, 0, SEEK_SET) || read(data_file, buffers, (size_t)set.block_bytes) != set.block_bytes)
		die("--block-bytes %" PRId64 ": an O_DIRECT read of this size fails: %s",
		    "Allowed with --cache direct: multiples of the device's sector, mostly 512 or 4096 bytes.",
		    set.block_bytes, strerror(errno));
}

static void open_file(void)
{
	struct stat about;

	if (set.file) {
		/* O_NOATIME: reading shall not become writing. Only the owner may ask for it. */
		data_file = open(set.file, O_RDONLY | O_CLOEXEC | O_NOATIME);
		if (data_file < 0 && errno == EPERM)
			data_file = open(set.file, O_RDONLY | O_CLOEXEC);
		if (data_file < 0 || fstat(data_file, &about))
			die("--file %s: %s", "Name a file that exists and that you may read.", set.file,
			    strerror(errno));
		if (!S_ISREG(about.st_mode))
			die("--file %s is not a regular file", "Name a regular file.", set.file);
		set.file_bytes = about.st_size;
	} else {
		data_file = open_nameless();
		if (data_file < 0)
			die("--folder %s: %s", "Name a folder that exists and in which you may write.", set.folder,
			    strerror(errno));
	}
	if (set.file_bytes < set.block_bytes)
		die("a file of %" PRId64 " bytes is smaller than one block of %" PRId64,
		    "Give a smaller --block-bytes or a larger file.", set.file_bytes, set.block_bytes);
	set.file_bytes -= set.file_bytes % set.block_bytes;
	if (!set.file) {
		check_free_space();
		fill_file();
	}
}

/* On a file system in memory the page cache is the file: nothing bypasses it and nothing empties it. */
static void refuse_memory(void)
{
	const char *name = file_system_name();

	if (set.cache != WARM && (!strcmp(name, "tmpfs") || !strcmp(name, "ramfs")))
		unable("%s is in memory (%s), where there is no disk to read from: choose a --folder on a disk, or "
		       "--cache warm", set.file ? set.file : set.folder, name);
}

/* Opens the data file and brings it into the state that --cache asks for. */
static void prepare_file(void)
{
	open_file();
	refuse_memory();
	drop_cache();
	posix_fadvise(data_file, 0, 0, set.order == RANDOM ? POSIX_FADV_RANDOM : POSIX_FADV_SEQUENTIAL);
	if (set.cache == DIRECT)
		use_direct();
	if (set.cache == WARM)
		warm_cache();
}

#endif
