// SPDX-License-Identifier: Apache-2.0
/*
 * Lesson 08: reads a file whole through io_uring, by hand or by liburing.
 *
 *	uring --go --interface raw
 *	uring --go --file /etc/services --interface liburing --queue-depth 4 --trace
 *	uring --go --file FILE --direct --random --block-bytes 262144 --trace
 *
 * The reader below needs only seven functions. It has them twice: made of system
 * calls and shared memory (uring_raw.h), and made of liburing's functions of the
 * same names. The library is a convenience.
 */
#include <fcntl.h>
#include <sys/stat.h>

#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

#include "crc32.h"
#include "uring_raw.h"
#include "uring_refused.h"
#include "workload.h"

#define MAX_DEPTH 1024
#define MOST_STEPS 10000	/* of a trace; what follows is counted */
#define SECTOR_BYTES 4096	/* no disk has larger ones */
#define MOST_TRIES 1000

enum { RAW, LIBURING };
static const char *const interface_names[] = { "raw", "liburing", NULL };

static const char *file_path = "/proc/self/exe";
static int interface = RAW;
static int64_t block_bytes = 4096, queue_depth = 8;
static bool sqpoll, trace, direct, in_random_order;

static const struct option_row options[] = {
	OPTION_TEXT("file", &file_path, "a path", "the file to read; else this program's own"),
	OPTION_CHOICE("interface", &interface, interface_names, "rings made by hand, or by the library"),
	OPTION_BYTES("block-bytes", &block_bytes, 1, 4 << 20, "size of one read; the last may be smaller"),
	OPTION_INTEGER("queue-depth", &queue_depth, 1, MAX_DEPTH, "reads", "reads in flight at a time"),
	OPTION_FLAG("direct", &direct, "read with O_DIRECT: no page cache, so each read takes as long as the disk"),
	OPTION_FLAG("random", &in_random_order, "read the blocks in random order"),
	OPTION_FLAG("sqpoll", &sqpoll, "let a kernel thread watch the submission ring"),
	OPTION_FLAG("trace", &trace, "print where the heads and tails of the rings stood after each step"),
	OPTIONS_END
};

/* A read in flight, or a free place for one. The completion brings back its index. */
struct request {
	uint64_t offset_bytes;
	uint32_t bytes;
};

struct rings {			/* where each head and tail is */
	uint32_t sq_head, sq_tail, cq_head, cq_tail;
};

struct way {
	int (*open)(uint32_t entries, uint32_t flags);
	void (*queue)(const struct request *request, uint32_t index);
	int (*submit)(void);
	int (*wait)(struct io_uring_cqe **cqe);
	void (*seen)(struct io_uring_cqe *cqe);
	void (*close)(void);
	struct rings (*rings)(void);
};

struct step {
	const char *action;
	struct rings rings;
	uint64_t ns;
	int64_t request, result;	/* -1: has none */
};

static int file = -1;
static uint64_t file_bytes;
static char *content;			/* the whole file, each read at its place */
static uint64_t *places, blocks;	/* where each block starts, in the order in which they are read */
static uint64_t enter_calls, reads, steps_count;
static struct step *steps;

/* ---- by hand ---- */

static struct raw_ring raw;

static int way_raw_open(uint32_t entries, uint32_t flags)
{
	return raw_queue_init(entries, &raw, flags);
}

static void way_raw_queue(const struct request *request, uint32_t index)
{
	struct io_uring_sqe *sqe;

	/* Under SQPOLL a result can come a moment before its entry is given back: wait for that. */
	while (!(sqe = raw_get_sqe(&raw)))
		;
	sqe->opcode = IORING_OP_READ;
	sqe->fd = file;
	sqe->addr = (uint64_t)(uintptr_t)(content + request->offset_bytes);
	sqe->len = request->bytes;
	sqe->off = request->offset_bytes;
	sqe->user_data = index;
}

static int way_raw_submit(void)
{
	int error = raw_submit(&raw);

	enter_calls = raw.enter_calls;
	return error;
}

static int way_raw_wait(struct io_uring_cqe **cqe)
{
	int error = raw_wait_cqe(&raw, cqe);

	enter_calls = raw.enter_calls;
	return error;
}

static void way_raw_seen(struct io_uring_cqe *cqe)
{
	(void)cqe;
	raw_cqe_seen(&raw);
}

static void way_raw_close(void)
{
	raw_queue_exit(&raw);
}

static struct rings way_raw_rings(void)
{
	return (struct rings){ atomic_load(raw.sq_head), atomic_load(raw.sq_tail), atomic_load(raw.cq_head),
			       atomic_load(raw.cq_tail) };
}

/* ---- by liburing ---- */

#ifdef HAVE_LIBURING

static struct io_uring lib;

static int way_lib_open(uint32_t entries, uint32_t flags)
{
	struct io_uring_params params = { .flags = flags, .sq_thread_idle = SQPOLL_IDLE_MS };

	return io_uring_queue_init_params(entries, &lib, &params);
}

static void way_lib_queue(const struct request *request, uint32_t index)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&lib)))
		;
	io_uring_prep_read(sqe, file, content + request->offset_bytes, request->bytes, request->offset_bytes);
	sqe->user_data = index;
}

static int way_lib_submit(void)
{
	int result = io_uring_submit(&lib);

	enter_calls++;		/* without SQPOLL, each submit is a call */
	return result < 0 ? result : 0;
}

static int way_lib_wait(struct io_uring_cqe **cqe)
{
	enter_calls += io_uring_cq_ready(&lib) == 0;	/* it looks first, too */
	return io_uring_wait_cqe(&lib, cqe);
}

static void way_lib_seen(struct io_uring_cqe *cqe)
{
	io_uring_cqe_seen(&lib, cqe);
}

static void way_lib_close(void)
{
	io_uring_queue_exit(&lib);
}

static struct rings way_lib_rings(void)
{
	return (struct rings){ io_uring_smp_load_acquire(lib.sq.khead), io_uring_smp_load_acquire(lib.sq.ktail),
			       io_uring_smp_load_acquire(lib.cq.khead), io_uring_smp_load_acquire(lib.cq.ktail) };
}

#endif

static const struct way ways[] = {
	[RAW] = { way_raw_open, way_raw_queue, way_raw_submit, way_raw_wait, way_raw_seen, way_raw_close, way_raw_rings },
#ifdef HAVE_LIBURING
	[LIBURING] = { way_lib_open, way_lib_queue, way_lib_submit, way_lib_wait, way_lib_seen, way_lib_close,
		       way_lib_rings },
#else
	[LIBURING] = { NULL, NULL, NULL, NULL, NULL, NULL, NULL },
#endif
};

/* ---- the reader ---- */

static void note(const struct way *way, const char *action, int64_t request, int64_t result)
{
	if (steps && steps_count < MOST_STEPS)
		steps[steps_count] = (struct step){ action, way->rings(), now_ns(), request, result };
	steps_count++;
}

static void check(int error, const char *call)
{
	if (error < 0 && error != -EINTR)
		die("%s: %s", "Look at `dmesg`; try a smaller --queue-depth.", call, strerror(-error));
}

/* Reads the whole file into `content`. Returns how many bytes came. */
static uint64_t read_file(const struct way *way)
{
	struct request requests[MAX_DEPTH];
	uint32_t free_requests[MAX_DEPTH], free_count = 0, queued;
	uint64_t next_block = 0, bytes = 0, tries = 0;
	struct io_uring_cqe *cqe;

	for (uint32_t i = (uint32_t)queue_depth; i > 0; i--)
		free_requests[free_count++] = i - 1;

	while (bytes < file_bytes && !workload_stopped) {
		/* Fill in an entry for each read that may start. */
		for (queued = 0; free_count && next_block < blocks; queued++) {
			uint32_t index = free_requests[--free_count];
			uint64_t place = places[next_block++], left = file_bytes - place;

			requests[index].offset_bytes = place;
			requests[index].bytes = left < (uint64_t)block_bytes ? (uint32_t)left : (uint32_t)block_bytes;
			way->queue(&requests[index], index);
			reads++;
			note(way, "fill", index, -1);
		}
		if (queued) {
			check(way->submit(), "submit");
			note(way, "submit", -1, queued);
		}

		/* Take one result; go round at once, so that its place is used again. */
		int error = way->wait(&cqe);

		check(error, "wait");
		if (error)
			continue;
		uint32_t index = (uint32_t)cqe->user_data;
		int result = cqe->res;

		note(way, "wait", -1, -1);
		way->seen(cqe);
		note(way, "seen", index, result);
		tries = result > 0 ? 0 : tries + 1;
		if (!result || (result < 0 && ((result != -EINTR && result != -EAGAIN) || tries > MOST_TRIES)))
			die("read of %u bytes of %s at %" PRIu64 ": %s", result ?
			    "Look at `dmesg`, or name a file on another file system." :
			    "Name a file that no other program changes.", requests[index].bytes, file_path,
			    requests[index].offset_bytes, result ? strerror(-result) : "the file has become shorter");
		if (result > 0) {
			bytes += (uint64_t)result;
			requests[index].offset_bytes += (uint64_t)result;
			requests[index].bytes -= (uint32_t)result;
		}
		/* Fewer bytes than asked is no error, and a signal may have come first (EINTR): ask for the rest. */
		if (requests[index].bytes) {
			way->queue(&requests[index], index);
			reads++;
			check(way->submit(), "submit");
		} else {
			free_requests[free_count++] = index;
		}
	}
	return bytes;
}

/* ---- set-up and report ---- */

static void open_file(void)
{
	struct stat about;

	file = open(file_path, O_RDONLY | O_CLOEXEC | (direct ? O_DIRECT : 0));
	if (direct && file < 0 && errno == EINVAL)
		unable("--file %s: its file system has no O_DIRECT: name a file on a disk, or leave --direct out", file_path);
	if (file < 0 || fstat(file, &about))
		die("--file %s: %s", "Name a file that exists and that you may read.", file_path, strerror(errno));
	if (!S_ISREG(about.st_mode))
		die("--file %s is not a regular file", "Name a regular file.", file_path);
	if (about.st_size > 1 << 30)
		die("--file %s is too large: %lld bytes", "Allowed: up to 1 GiB.", file_path, (long long)about.st_size);
	file_bytes = (uint64_t)about.st_size;
	if (direct && (block_bytes % SECTOR_BYTES || file_bytes % SECTOR_BYTES))
		die("--direct: the file has %" PRIu64 " bytes, a block %" PRId64,
		    "Allowed with --direct: a file and blocks of a multiple of 4096 bytes.", file_bytes, block_bytes);
	content = aligned_alloc(SECTOR_BYTES, (file_bytes / SECTOR_BYTES + 1) * SECTOR_BYTES);
	if (!content)
		die("no memory for %" PRIu64 " bytes", "Name a smaller file.", file_bytes);
}

/* Notes down where each block starts, in the order in which they will be read. */
static void plan_reads(void)
{
	blocks = (file_bytes + (uint64_t)block_bytes - 1) / (uint64_t)block_bytes;
	places = calloc(blocks + 1, sizeof(*places));
	if (!places)
		die("no memory for %" PRIu64 " blocks", "Name a smaller file, or larger blocks.", blocks);
	for (uint64_t i = 0; i < blocks; i++)
		places[i] = i * (uint64_t)block_bytes;
	srandom((unsigned int)now_ns());
	for (uint64_t i = blocks; in_random_order && i > 1; i--) {	/* Fisher and Yates */
		uint64_t other = (uint64_t)random() % i, place = places[i - 1];

		places[i - 1] = places[other];
		places[other] = place;
	}
}

static void report_steps(uint64_t start_ns)
{
	uint64_t kept = steps_count < MOST_STEPS ? steps_count : MOST_STEPS;

	json_open("steps", '[');
	for (uint64_t i = 0; i < kept; i++) {
		json_open(NULL, '{');
		json_text("action", steps[i].action);
		json_integer("elapsed_ns", (int64_t)(steps[i].ns - start_ns));
		json_integer("sq_head", steps[i].rings.sq_head);
		json_integer("sq_tail", steps[i].rings.sq_tail);
		json_integer("cq_head", steps[i].rings.cq_head);
		json_integer("cq_tail", steps[i].rings.cq_tail);
		if (steps[i].request >= 0)
			json_integer("request", steps[i].request);
		if (steps[i].result >= 0)
			json_integer("result", steps[i].result);
		json_close('}');
	}
	json_close(']');
	json_integer("lost_events", (int64_t)(steps_count - kept));
}

int main(int argc, char **argv)
{
	const struct way *way;
	uint64_t start_ns, elapsed_ns, bytes;
	int error, status = 0;

	workload_begin(argc, argv, "Reads a file whole through io_uring.", options);
	way = &ways[interface];
	if (!way->open)
		unable("this program was built without liburing: run `apt-get install liburing-dev`, then `make -C c`");
	open_file();
	plan_reads();
	if (trace && !(steps = calloc(MOST_STEPS, sizeof(*steps))))
		die("no memory for %d steps", "Leave out --trace.", MOST_STEPS);
	error = -way->open((uint32_t)queue_depth, sqpoll ? IORING_SETUP_SQPOLL : 0);
	if (error)
		uring_refused(error, sqpoll ? " (--sqpoll)" : "");

	if (workload_ready()) {
		start_ns = now_ns();
		bytes = read_file(way);
		elapsed_ns = now_ns() - start_ns;

		json_open(NULL, '{');
		json_text("interface", interface_names[interface]);
		json_integer("bytes", (int64_t)bytes);
		json_integer("crc32", crc32(content, file_bytes));
		json_integer("ios", (int64_t)reads);
		json_integer("block_bytes", block_bytes);
		json_integer("queue_depth", queue_depth);
		json_real("elapsed_s", (double)elapsed_ns / 1e9);
		json_bool("stopped", workload_stopped);
		if (interface == RAW) {
			json_integer("sq_entries", raw.sq_entries);
			json_integer("cq_entries", raw.cq_entries);
			json_integer("wakeup_calls", (int64_t)raw.wakeup_calls);
		}
		json_open("calls", '{');
		if (interface == RAW || !sqpoll)	/* liburing does not tell when it woke the thread */
			json_integer("io_uring_enter", (int64_t)enter_calls);
		json_close('}');
		if (steps)
			report_steps(start_ns);
		json_close('}');
		status = workload_end();
	}
	way->close();
	return status;
}
