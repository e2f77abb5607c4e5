// SPDX-License-Identifier: Apache-2.0
/*
 * Lesson 08: io_uring is more than reads. Four stops, each also without io_uring
 * where that can be compared:
 *
 *	uring_tour --go --stop nops --batch 32		nothing at all, 32 times with one call
 *	uring_tour --go --stop files --how plain	stat, open, read and close many small files
 *	uring_tour --go --stop files --how io_uring	the same, as chains of linked requests
 *	uring_tour --go --stop echo --how io_uring	there and back through a pair of sockets
 *	uring_tour --go --stop timeouts			clocks that ring, and a read that is given up
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "workload.h"

#define MAX_BATCH 256
#define MAX_FILE_BYTES 65536

enum { NOPS, FILES, ECHO_, TIMEOUTS };
enum { PLAIN, IO_URING };
static const char *const stop_names[] = { "nops", "files", "echo", "timeouts", NULL };
static const char *const how_names[] = { "plain", "io_uring", NULL };

static int stop = NOPS, how = IO_URING;
static int64_t ios = 1000, batch = 32, file_bytes = 4096, message_bytes = 64, step_us = 1000;
static bool cold, with_stat;
static const char *folder = ".";

static const struct option_row options[] = {
	OPTION_CHOICE("stop", &stop, stop_names, "where to stop on the tour"),
	OPTION_CHOICE("how", &how, how_names, "one system call after another, or io_uring (files, echo)"),
	OPTION_INTEGER("ios", &ios, 1, 10000000, "operations", "nops, files, round trips or timeouts in all"),
	OPTION_INTEGER("batch", &batch, 1, MAX_BATCH, "operations", "operations submitted per call"),
	OPTION_TEXT("folder", &folder, "a folder", "files: where they are made, in a folder of their own"),
	OPTION_BYTES("file-bytes", &file_bytes, 8, MAX_FILE_BYTES, "files: size of each, a multiple of 8"),
	OPTION_FLAG("cold", &cold, "files: their content is out of the page cache at first"),
	OPTION_FLAG("stat", &with_stat, "files: also ask for the size of each"),
	OPTION_BYTES("message-bytes", &message_bytes, 1, 4096, "echo: size of a message"),
	OPTION_INTEGER("step-us", &step_us, 1, 1000000, "microseconds", "timeouts: the first takes one step, the second two"),
	OPTIONS_END
};

static uint64_t start_ns;

static void open_report(int64_t done)
{
	double elapsed_s = (double)(now_ns() - start_ns) / 1e9;

	json_open(NULL, '{');
	json_text("stop", stop_names[stop]);
	json_text("how", how_names[how]);
	json_integer("ios", done);
	json_integer("batch", batch);
	json_real("elapsed_s", elapsed_s);
	json_bool("stopped", workload_stopped);
}

static int close_report(void)
{
	json_close('}');
	return workload_end();
}

#ifdef HAVE_LIBURING
#include <liburing.h>

#include "uring_refused.h"

static struct io_uring ring;
static uint64_t enter_calls;

static void open_ring(unsigned int entries)
{
	int error = -io_uring_queue_init(entries, &ring, 0);

	if (error)
		uring_refused(error, "");
}

/* Hands over everything that is noted down and waits until all of it has ended: one system call. */
static void submit_and_wait(unsigned int count)
{
	int result;

	do {		/* once, unless a signal comes in between */
		result = io_uring_submit_and_wait(&ring, count);
		enter_calls++;
	} while (result == -EINTR || (result >= 0 && io_uring_cq_ready(&ring) < count));
	if (result < 0)
		die("io_uring_enter: %s", "Look at `dmesg`; try a smaller --batch.", strerror(-result));
}

/* A kind of request: its name, and the least result that is a success. user_data holds its index. */
struct kind {
	const char *name;
	int least;
};

/* Looks at `count` results and gives their places back. After a failure the rest of its chain is cancelled. */
static void take_results(unsigned int count, const struct kind *kinds)
{
	const struct kind *failed = NULL;
	struct io_uring_cqe *cqe;
	unsigned int head, seen = 0;
	int result = 0;

	io_uring_for_each_cqe(&ring, head, cqe) {
		const struct kind *kind = &kinds[cqe->user_data];

		if (cqe->res < kind->least && (!failed || result == -ECANCELED)) {
			failed = kind;
			result = cqe->res;
		}
		seen++;
	}
	io_uring_cq_advance(&ring, seen);
	if (failed && (result == -EINVAL || result == -EOPNOTSUPP))
		unable("this kernel's io_uring does not know \"%s\" as it is used here: use --how plain", failed->name);
	if (failed)
		die("%s: %s", "Look at `dmesg` and `ulimit -n`.", failed->name,
		    result < 0 ? strerror(-result) : "only a part was moved");
	if (seen != count)
		die("%u results came instead of %u", "Report this, with the options.", seen, count);
}

static unsigned int size_of_batch(int64_t done)
{
	return (unsigned int)(ios - done < batch ? ios - done : batch);
}

static void report_enter_calls(void)
{
	json_open("calls", '{');
	json_integer("io_uring_enter", (int64_t)enter_calls);
	json_close('}');
	io_uring_queue_exit(&ring);
}

/* ---- nops: what a request costs that does nothing, and what a call adds ---- */

static int stop_at_nops(void)
{
	static const struct kind kinds[] = { { "nop", 0 } };
	int64_t done = 0;

	open_ring((unsigned int)batch);
	if (!workload_ready())
		return 0;
	start_ns = now_ns();
	while (done < ios && !workload_stopped) {
		unsigned int count = size_of_batch(done);

		for (unsigned int i = 0; i < count; i++) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

			io_uring_prep_nop(sqe);
			sqe->user_data = 0;
		}
		submit_and_wait(count);
		take_results(count, kinds);
		done += count;
	}
	open_report(done);
	report_enter_calls();
	return close_report();
}
#endif

/* ---- files: many small ones; a chain of requests for each, many chains with one call ---- */

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

static void make_file(int64_t index)
{
	uint64_t *words = (uint64_t *)buffers[0];
	char name[24];
	int file = openat(tour_fd, file_name(index, name), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	files_made = index + 1;
	for (int64_t i = 0; i < file_bytes / 8; i++)
		words[i] = (uint64_t)index;
	if (file < 0 || write(file, buffers[0], (size_t)file_bytes) != file_bytes)
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

		if (file < 0 || read(file, buffers[0], (size_t)file_bytes) != file_bytes)
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
 * name it by a number that is known beforehand.
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
		       "Use --how plain", strerror(error));
}
#endif

static int stop_at_files(void)
{
	int64_t done = 0;

	make_files();
#ifdef HAVE_LIBURING
	if (how == IO_URING)
		open_ring_of_files();
#endif
	if (!workload_ready())
		return 0;
	start_ns = now_ns();
#ifdef HAVE_LIBURING
	if (how == IO_URING)
		done = ring_files();
#endif
	if (how == PLAIN)
		done = plain_files();

	open_report(done);
	json_integer("bytes", done * file_bytes);
	json_unsigned("stat_bytes", stat_bytes);
#ifdef HAVE_LIBURING
	if (how == IO_URING)
		report_enter_calls();
#endif
	if (how == PLAIN) {
		json_open("calls", '{');
		json_integer("statx", with_stat ? done : 0);
		json_integer("openat", done);
		json_integer("read", done);
		json_integer("close", done);
		json_close('}');
	}
	return close_report();
}

/* ---- echo: a message there and back, through as many pairs of sockets as --batch says ---- */

static int pairs[MAX_BATCH][2];
static char messages[MAX_BATCH][3][4096];	/* sent, received there, received back */

static void check_echo(unsigned int pair)
{
	if (memcmp(messages[pair][0], messages[pair][2], (size_t)message_bytes))
		die("a message came back with other content", "Report this, with the options.");
}

static void write_message(unsigned int pair, int64_t number)
{
	memset(messages[pair][0], (int)(number % 251), (size_t)message_bytes);
}

static void plain_echo(unsigned int pair)
{
	size_t bytes = (size_t)message_bytes;
	ssize_t length = (ssize_t)bytes;

	if (send(pairs[pair][0], messages[pair][0], bytes, 0) != length ||
	    recv(pairs[pair][1], messages[pair][1], bytes, MSG_WAITALL) != length ||
	    send(pairs[pair][1], messages[pair][1], bytes, 0) != length ||
	    recv(pairs[pair][0], messages[pair][2], bytes, MSG_WAITALL) != length)
		die("echo: %s", "Report this, with the options.", strerror(errno));
}

#ifdef HAVE_LIBURING
static void queue_echo(unsigned int pair)
{
	size_t bytes = (size_t)message_bytes;
	struct io_uring_sqe *sqe[4];

	for (int i = 0; i < 4; i++)
		sqe[i] = io_uring_get_sqe(&ring);
	io_uring_prep_send(sqe[0], pairs[pair][0], messages[pair][0], bytes, 0);
	io_uring_prep_recv(sqe[1], pairs[pair][1], messages[pair][1], bytes, MSG_WAITALL);
	io_uring_prep_send(sqe[2], pairs[pair][1], messages[pair][1], bytes, 0);
	io_uring_prep_recv(sqe[3], pairs[pair][0], messages[pair][2], bytes, MSG_WAITALL);
	for (unsigned int i = 0; i < 4; i++) {
		sqe[i]->flags |= i < 3 ? IOSQE_IO_LINK : 0;
		sqe[i]->user_data = i % 2;
	}
}

static int64_t ring_echoes(void)
{
	const struct kind kinds[] = { { "send", (int)message_bytes }, { "recv", (int)message_bytes } };
	int64_t done = 0;

	while (done < ios && !workload_stopped) {
		unsigned int count = size_of_batch(done);

		for (unsigned int i = 0; i < count; i++) {
			write_message(i, done + i);
			queue_echo(i);
		}
		submit_and_wait(4 * count);
		take_results(4 * count, kinds);
		for (unsigned int i = 0; i < count; i++)
			check_echo(i);
		done += count;
	}
	return done;
}
#endif

static int64_t plain_echoes(void)
{
	int64_t done;

	for (done = 0; done < ios && !workload_stopped; done++) {
		unsigned int pair = (unsigned int)(done % batch);

		write_message(pair, done);
		plain_echo(pair);
		check_echo(pair);
	}
	return done;
}

static int stop_at_echo(void)
{
	int64_t done = 0;

	for (int64_t i = 0; i < batch; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[i]))
			die("socketpair: %s", "Raise `ulimit -n` or lower --batch.", strerror(errno));
	}
#ifdef HAVE_LIBURING
	if (how == IO_URING)
		open_ring((unsigned int)batch * 4);
#endif
	if (!workload_ready())
		return 0;
	start_ns = now_ns();
#ifdef HAVE_LIBURING
	if (how == IO_URING)
		done = ring_echoes();
#endif
	if (how == PLAIN)
		done = plain_echoes();

	open_report(done);
	json_integer("message_bytes", message_bytes);
#ifdef HAVE_LIBURING
	if (how == IO_URING)
		report_enter_calls();
#endif
	if (how == PLAIN) {
		json_open("calls", '{');
		json_integer("sendto", 2 * done);
		json_integer("recvfrom", 2 * done);
		json_close('}');
	}
	return close_report();
}

/* ---- timeouts: results come in the order of time, not of submission ---- */

#ifdef HAVE_LIBURING
static struct __kernel_timespec span_of(int64_t microseconds)
{
	return (struct __kernel_timespec){ microseconds / 1000000, microseconds % 1000000 * 1000 };
}

/* The next result, or NULL when a signal says stop. */
static struct io_uring_cqe *next_result(void)
{
	struct io_uring_cqe *cqe = NULL;

	while (!workload_stopped) {
		enter_calls += io_uring_cq_ready(&ring) == 0;
		if (!io_uring_wait_cqe(&ring, &cqe))
			return cqe;
	}
	return NULL;
}

static void ring_the_clocks(void)
{
	static struct __kernel_timespec spans[MAX_BATCH];
	struct io_uring_cqe *cqe;

	for (int64_t i = ios; i > 0; i--) {	/* the longest first */
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		spans[i - 1] = span_of(i * step_us);
		io_uring_prep_timeout(sqe, &spans[i - 1], 0, 0);
		sqe->user_data = (uint64_t)i;
	}
	start_ns = now_ns();
	io_uring_submit(&ring);
	enter_calls++;

	json_open("timeouts", '[');
	for (int64_t i = 0; i < ios && (cqe = next_result()); i++) {
		json_open(NULL, '{');
		json_integer("asked_us", (int64_t)cqe->user_data * step_us);
		json_integer("took_us", (int64_t)(now_ns() - start_ns) / 1000);
		json_text("result", strerror(-cqe->res));
		json_close('}');
		io_uring_cqe_seen(&ring, cqe);
	}
	json_close(']');
}

/* Nobody ever writes into this pipe. The read has a time limit linked to it. */
static void give_up_a_read(void)
{
	struct __kernel_timespec span = span_of(step_us);
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	char byte;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		die("pipe: %s", "Raise `ulimit -n`.", strerror(errno));
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_read(sqe, ends[0], &byte, 1, 0);
	sqe->flags |= IOSQE_IO_LINK;
	sqe->user_data = 0;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_link_timeout(sqe, &span, 0);
	sqe->user_data = 1;
	io_uring_submit(&ring);
	enter_calls++;

	json_open("given_up", '{');
	for (int i = 0; i < 2 && (cqe = next_result()); i++) {
		json_text(cqe->user_data ? "timeout" : "read", strerror(cqe->res < 0 ? -cqe->res : 0));
		io_uring_cqe_seen(&ring, cqe);
	}
	json_close('}');
}

static int stop_at_timeouts(void)
{
	if (ios > MAX_BATCH)
		die("--ios cannot be \"%" PRId64 "\"", "Allowed with --stop timeouts: 1 to 256.", ios);
	open_ring(MAX_BATCH);
	if (!workload_ready())
		return 0;
	json_open(NULL, '{');
	json_text("stop", stop_names[stop]);
	json_integer("ios", ios);
	ring_the_clocks();
	give_up_a_read();
	json_bool("stopped", workload_stopped);
	report_enter_calls();
	return close_report();
}
#endif

int main(int argc, char **argv)
{
	workload_begin(argc, argv, "Shows what else goes through io_uring, and what it saves.", options);
#ifndef HAVE_LIBURING
	if (how == IO_URING || stop == NOPS || stop == TIMEOUTS)
		unable("this program was built without liburing: run `apt-get install liburing-dev`, then `make -C c`");
#endif
	if (how == PLAIN && (stop == NOPS || stop == TIMEOUTS))
		die("--how cannot be \"plain\" with --stop %s", "Allowed with --stop nops and timeouts: io_uring.",
		    stop_names[stop]);
	switch (stop) {
	case FILES:
		return stop_at_files();
	case ECHO_:
		return stop_at_echo();
#ifdef HAVE_LIBURING
	case TIMEOUTS:
		return stop_at_timeouts();
	default:
		return stop_at_nops();
#else
	default:
		return 1;
#endif
	}
}
