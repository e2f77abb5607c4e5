// SPDX-License-Identifier: Apache-2.0
/* Many small files: a chain of requests for each, many chains with one call. */
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "tour.h"

static char *tour_folder;
static int tour_fd = -1;
static int64_t files_made;
static char buffers[MAX_BATCH][MAX_FILE_BYTES] __attribute__((aligned(8)));
static uint64_t stat_bytes;		/* the sum of the sizes that stat gave */

static const char *file_name(int64_t index, char name[24])
{
	snprintf(name, 24, "%06" PRId64, index);
	return name;
}

/* Runs when the program ends by itself. Whoever kills it removes --folder. Nothing else is ever in that folder. */
static void remove_files(void)
{
	char name[24];

	for (int64_t i = 0; i < files_made; i++)
		unlinkat(tour_fd, file_name(i, name), 0);
	if (tour_folder)
		rmdir(tour_folder);
}

/* Reads or writes a file whole: a signal may end a call early. One call, if none does. */
static bool move_whole(bool writing, int file, char *content)
{
	int64_t done = 0;

	do {
		size_t rest = (size_t)(file_bytes - done);
		ssize_t moved = writing ? write(file, content + done, rest) : read(file, content + done, rest);

		if (moved == 0)
			errno = ENODATA;	/* the file has become shorter */
		if (moved == 0 || (moved < 0 && errno != EINTR))
			return false;
		done += moved > 0 ? moved : 0;
	} while (done < file_bytes);
	return true;
}

static void make_file(int64_t index)
{
	uint64_t *words = (uint64_t *)buffers[0];
	char name[24];
	int file = openat(tour_fd, file_name(index, name), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	files_made = index + 1;
	for (int64_t i = 0; i < file_bytes / 8; i++)
		words[i] = (uint64_t)index;
	if (file < 0 || !move_whole(true, file, buffers[0]))
		die("cannot make file %" PRId64 " in %s: %s",
		    "Free some space, lower --ios or choose another --folder.", index + 1, tour_folder,
		    strerror(errno));
	close(file);
}

/* Is there room, and can a file be cold there? */
static void check_folder(void)
{
	int64_t wanted = ios * (file_bytes + 4096);	/* and its inode, and a block that is not full */
	struct statfs about;

	if (fstatfs(tour_fd, &about))
		die("--folder %s: %s", "Choose another --folder.", folder, strerror(errno));
	if (cold && (about.f_type == TMPFS_MAGIC || about.f_type == RAMFS_MAGIC))
		unable("--folder %s is in memory, where no file is cold: choose one on a disk, or leave --cold out", folder);
	if ((int64_t)about.f_bavail * (int64_t)about.f_bsize / 10 * 9 < wanted)
		die("--folder %s has no room for %" PRId64 " files: they need %" PRId64 " bytes",
		    "Free some space, lower --ios or choose another --folder.", folder, ios, wanted);
}

static void make_files(void)
{
	char name[24];

	if (ios > 100000 || file_bytes % 8)
		die("--ios %" PRId64 ", --file-bytes %" PRId64,
		    "Allowed with --stop files: --ios up to 100000, --file-bytes a multiple of 8.", ios, file_bytes);
	if (asprintf(&tour_folder, "%s/uring_tour.XXXXXX", folder) < 0 || !mkdtemp(tour_folder))
		die("--folder %s: %s", "Name a folder that exists and in which you may write.", folder,
		    strerror(errno));
	tour_fd = open(tour_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	atexit(remove_files);
	check_folder();
	for (int64_t i = 0; i < ios && !workload_stopped; i++)
		make_file(i);
	if (cold)
		syncfs(tour_fd);	/* only what is on the disk can be dropped */
	for (int64_t i = 0; cold && i < ios; i++) {
		int file = openat(tour_fd, file_name(i, name), O_RDONLY | O_CLOEXEC);

		posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
		close(file);
	}
}

static void check_file(int64_t index, const char *content)
{
	const uint64_t *words = (const uint64_t *)content;

	for (int64_t i = 0; i < file_bytes / 8; i++) {
		if (words[i] != (uint64_t)index)
			die("file %" PRId64 " came back with other content", "Report this, with the options.", index);
	}
}

static int64_t plain_files(void)
{
	struct statx about;
	char name[24];
	int64_t done;

	for (done = 0; done < ios && !workload_stopped; done++) {
		if (with_stat && !statx(tour_fd, file_name(done, name), 0, STATX_SIZE, &about))
			stat_bytes += about.stx_size;

		int file = openat(tour_fd, file_name(done, name), O_RDONLY | O_CLOEXEC);

		if (file < 0 || !move_whole(false, file, buffers[0]))
			die("file %" PRId64 ": %s", "Leave the files alone while this runs.", done, strerror(errno));
		close(file);
		check_file(done, buffers[0]);
	}
	return done;
}

#ifdef HAVE_LIBURING
enum { STAT, OPEN, READ, CLOSE };

/*
 * One chain: each request starts when the one before has succeeded. The file is
 * opened into a place of the ring's own table, so that the requests behind it can
 * name it by a number that is known in advance.
 */
static unsigned int queue_chain(int64_t index, unsigned int place, char name[24], struct statx *about)
{
	struct io_uring_sqe *sqe;

	file_name(index, name);
	if (with_stat) {
		sqe = io_uring_get_sqe(&ring);
		io_uring_prep_statx(sqe, tour_fd, name, 0, STATX_SIZE, about);
		sqe->flags |= IOSQE_IO_LINK;
		sqe->user_data = STAT;
	}
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_openat_direct(sqe, tour_fd, name, O_RDONLY, 0, place);
	sqe->flags |= IOSQE_IO_LINK;
	sqe->user_data = OPEN;

	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_read(sqe, (int)place, buffers[place], (unsigned int)file_bytes, 0);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_IO_LINK;
	sqe->user_data = READ;

	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_close_direct(sqe, place);
	sqe->user_data = CLOSE;
	return with_stat ? 4 : 3;
}

static int64_t ring_files(void)
{
	static char names[MAX_BATCH][24];
	static struct statx about[MAX_BATCH];
	const struct kind kinds[] = { { "stat", 0 }, { "open", 0 }, { "read", (int)file_bytes }, { "close", 0 } };
	int64_t done = 0;

	while (done < ios && !workload_stopped) {
		unsigned int files = size_of_batch(done), requests = 0;

		for (unsigned int i = 0; i < files; i++)
			requests += queue_chain(done + i, i, names[i], &about[i]);
		submit_and_wait(requests);
		take_results(requests, kinds);
		for (unsigned int i = 0; i < files; i++) {
			check_file(done + i, buffers[i]);
			stat_bytes += about[i].stx_size;
		}
		done += files;
	}
	return done;
}

static void open_ring_of_files(void)
{
	int error;

	open_ring((unsigned int)batch * 4);
	error = -io_uring_register_files_sparse(&ring, (unsigned int)batch);
	if (error)
		unable("this kernel's io_uring has no table of its own files (5.19 and later have): %s. "
		       "Use --interface plain", strerror(error));
}
#endif

static void report_files(int64_t done)
{
	json_integer("bytes", done * file_bytes);
	json_unsigned("stat_bytes", stat_bytes);
}

static void report_plain_calls(int64_t done)
{
	json_integer("statx", with_stat ? done : 0);
	json_integer("openat", done);
	json_integer("read", done);
	json_integer("close", done);
}

const struct stop files_stop = {
	.prepare = make_files,
	.plain = plain_files,
	.report = report_files,
	.report_plain_calls = report_plain_calls,
#ifdef HAVE_LIBURING
	.open_ring = open_ring_of_files,
	.uring = ring_files,
#endif
};
