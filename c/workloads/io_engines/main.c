// SPDX-License-Identifier: Apache-2.0
/*
 * Lessons 06, 07 and 08: one program, several ways to do the same I/O.
 *
 *	io_engines --go --engine sync
 *	io_engines --go --engine io_uring --queue-depth 32 --block-bytes 64k
 *	io_engines --go --engine libaio --queue-depth 32 --cache cold
 *	io_engines --go --engine pool --queue-depth 32 --rate 10000
 *	io_engines --go --engine sync --operation write --durable every --sync-every 32
 *
 * engine.h says what an engine is; each has a file of its own. loop.c has the
 * loop that is measured, file.c and cache.c the data file, report.c the result.
 */
#include <sys/mman.h>
#include <sys/prctl.h>

#include "engine.h"
#include "file.h"
#include "loop.h"
#include "pattern.h"
#include "report.h"
#include "stopwatch.h"

static const struct engine *const engines[] = {
	[SYNC] = &sync_engine,
	[POOL] = &pool_engine,
	[NOWAIT] = &nowait_engine,
	[MMAP] = &mmap_engine,
	[LIBAIO] = &libaio_engine,
	[IO_URING] = &uring_engine,
};

struct settings set = {
	.operation = READ, .order = RANDOM, .cache = DIRECT, .seconds = 1,
	.block_bytes = 4096, .queue_depth = 1, .batch = 1, .wait_for = 1, .seed = 1,
	.sqpoll_cpu = -1, .timeline_ios = 100000, .folder = ".",
};

int data_file = -1;
char *buffers;
size_t buffer_step;

static const char *const engine_names[] = { "sync", "pool", "nowait", "mmap", "libaio", "io_uring", NULL };
const char *const operation_names[] = { "read", "write", NULL };
const char *const order_names[] = { "random", "sequential", NULL };
const char *const cache_names[] = { "direct", "cold", "warm", NULL };
const char *const durable_names[] = { "none", "end", "every", "dsync", NULL };
static const char *const verify_names[] = { "no", "after", "during", NULL };

static const struct option_row options[] = {
	OPTION_CHOICE("engine", &set.engine, engine_names, "how the I/O is done"),
	OPTION_CHOICE("operation", &set.operation, operation_names, "what is done"),
	OPTION_CHOICE("order", &set.order, order_names, "which block comes next; each one once per pass"),
	OPTION_CHOICE("cache", &set.cache, cache_names,
		      "direct: O_DIRECT; cold: page cache, emptied of this file before each pass; warm: filled"),
	OPTION_BYTES("block-bytes", &set.block_bytes, 512, 4 << 20, "size of one I/O"),
	OPTION_BYTES("file-bytes", &set.file_bytes, 0, 1ll << 40,
		     "size of the file, or of the part of --file; 0: 64 MiB, and eight blocks per I/O in flight"),
	OPTION_INTEGER("queue-depth", &set.queue_depth, 1, MAX_DEPTH, "I/Os", "I/Os in flight at a time"),
	OPTION_INTEGER("batch", &set.batch, 1, MAX_DEPTH, "I/Os", "I/Os submitted per call, at most"),
	OPTION_INTEGER("wait-for", &set.wait_for, 1, MAX_DEPTH, "I/Os", "I/Os that one call waits for"),
	OPTION_REAL("seconds", &set.seconds, 0, 3600, "seconds", "how long; 0: until --ios are done"),
	OPTION_INTEGER("ios", &set.ios, 0, 1ll << 40, "I/Os", "how many; 0: until --seconds are over"),
	OPTION_INTEGER("seed", &set.seed, 0, INT32_MAX, "", "what the order, the content and the arrivals are drawn from"),
	OPTION_TEXT("folder", &set.folder, "a folder", "where the data file is made; it never has a name there"),
	OPTION_TEXT("file", &set.file, "a path", "read this file instead of making one"),
	OPTION_FLAG("atime", &set.atime, "with --file: open it without O_NOATIME, as most programs do"),
	OPTION_REAL("rate", &set.rate, 0, 1e7, "I/Os per second",
		    "open loop: I/Os are due at random times, this many per second; 0: closed loop"),
	OPTION_CHOICE("durable", &set.durable, durable_names,
		      "writes: no sync; one fdatasync at the end, in the measured time; every --sync-every; RWF_DSYNC"),
	OPTION_INTEGER("sync-every", &set.sync_every, 0, 1ll << 40, "I/Os", "writes from one fdatasync to the next"),
	OPTION_CHOICE("verify", &set.verify, verify_names, "compare every byte with what was written"),
	OPTION_FLAG("no-timing", &set.no_timing, "take no time stamps: what does timing cost?"),
	OPTION_TEXT("timeline", &set.timeline, "a path", "write one record per I/O to this file"),
	OPTION_INTEGER("timeline-ios", &set.timeline_ios, 1, 10000000, "I/Os", "records, at most"),
	OPTION_FLAG("one-call", &set.one_call, "io_uring: submit and wait in one system call"),
	OPTION_FLAG("registered-buffers", &set.registered_buffers, "io_uring: let the kernel map the buffers once"),
	OPTION_FLAG("registered-files", &set.registered_files, "io_uring: let the kernel look the file up once"),
	OPTION_FLAG("registered-ring", &set.registered_ring, "io_uring: let the kernel look the ring up once"),
	OPTION_FLAG("sqpoll", &set.sqpoll, "io_uring: a kernel thread submits"),
	OPTION_INTEGER("sqpoll-cpu", &set.sqpoll_cpu, -1, CPU_SETSIZE - 1, "CPU", "it runs on this CPU; -1: on any"),
	OPTION_FLAG("spin", &set.spin, "io_uring with --sqpoll: look at the ring again and again instead of sleeping"),
	OPTION_FLAG("force-async", &set.force_async, "io_uring: give each I/O to a worker thread at once"),
	OPTIONS_END
};

static void check_uring_settings(void)
{
	bool uring_only = set.one_call || set.registered_buffers || set.registered_files || set.registered_ring ||
			  set.sqpoll || set.spin || set.force_async;

	if (set.engine != IO_URING && uring_only)
		die("an option for io_uring alone was given to --engine %s",
		    "Add --engine io_uring, or leave out --one-call, --registered-..., --sqpoll, --spin and "
		    "--force-async.", engine_names[set.engine]);
	if (set.sqpoll && set.one_call)
		die("--sqpoll and --one-call exclude each other: the thread submits", "Leave out --one-call.");
	if (set.sqpoll_cpu >= 0 && !set.sqpoll)
		die("--sqpoll-cpu %" PRId64 " without --sqpoll: there is no thread to pin", "Add --sqpoll.",
		    set.sqpoll_cpu);
	if (set.spin && !set.sqpoll)
		die("--spin needs --sqpoll: without it nothing fills the completion ring", "Add --sqpoll.");
}

static void check_engine_settings(void)
{
	bool deep = set.engine == POOL || set.engine == LIBAIO || set.engine == IO_URING;

	if (!deep && set.queue_depth != 1)
		die("--queue-depth cannot be \"%" PRId64 "\" with --engine %s",
		    "Allowed with --engine sync, nowait and mmap: 1. They have one I/O in flight at a time.",
		    set.queue_depth, engine_names[set.engine]);
	if (set.batch > set.queue_depth || set.wait_for > set.queue_depth)
		die("--batch %" PRId64 ", --wait-for %" PRId64 ": one of them is larger than --queue-depth %" PRId64,
		    "Allowed: 1 to --queue-depth.", set.batch, set.wait_for, set.queue_depth);
	if (set.engine == POOL && (set.batch != 1 || set.wait_for != 1))
		die("--batch %" PRId64 ", --wait-for %" PRId64 " with --engine pool",
		    "Leave them out: each thread makes one I/O after the other.", set.batch, set.wait_for);
	if ((set.engine == NOWAIT || set.engine == MMAP) && (set.operation == WRITE || set.cache == DIRECT))
		die("--engine %s reads through the page cache", "Use --operation read and --cache cold or warm.",
		    engine_names[set.engine]);
	if (set.rate > 0 && (!deep || set.one_call || set.spin || set.no_timing))
		die("--rate does not go with --engine sync, nowait or mmap, nor with --one-call, --spin or --no-timing",
		    "Use --engine pool, libaio or io_uring, and leave those options out.");
}

static void check_settings(void)
{
	check_uring_settings();
	check_engine_settings();
	if (set.block_bytes % 8)
		die("--block-bytes cannot be \"%" PRId64 "\"", "Allowed: multiples of 8.", set.block_bytes);
	if (set.queue_depth * set.block_bytes > 1 << 30)
		die("%" PRId64 " bytes of buffers are too many",
		    "Allowed: --queue-depth times --block-bytes up to 1 GiB.", set.queue_depth * set.block_bytes);
	if (set.seconds == 0 && set.ios == 0)
		die("--seconds 0 and --ios 0: it would never end", "Give --seconds or --ios.");
	if (set.file && set.operation == WRITE)
		die("--file is for reading only", "Leave out --file: a file to write to is made in --folder.");
	if (set.durable != DURABLE_NONE && set.operation == READ)
		die("--durable is for writing", "Leave it out, or add --operation write.");
	if ((set.durable == DURABLE_EVERY) != (set.sync_every > 0))
		die("--durable every and --sync-every go together", "Give both, or leave both out.");
	if (set.verify == VERIFY_DURING && set.operation == WRITE)
		die("--verify during is for reading", "Use --verify after.");
}

static size_t buffer_distance(void)
{
	size_t align = (size_t)direct_alignment().memory_bytes;

	return ((size_t)set.block_bytes + align - 1) / align * align;
}

/* One per place, each `step` bytes after the one before. */
static void make_buffers(size_t step)
{
	size_t bytes = (size_t)set.queue_depth * step;

	/* Whole pages, as O_DIRECT likes them; touched now, so that no page fault is measured. */
	buffers = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (buffers == MAP_FAILED)
		die("no memory for %zu bytes of buffers", "Give a smaller --queue-depth or --block-bytes.", bytes);
	buffer_step = step;
	pattern_fill(buffers, (uint64_t)set.seed + 1, 0, bytes);
}

int main(int argc, char **argv)
{
	const struct engine *engine;
	struct resources used;
	int status = 0;

	workload_begin(argc, argv, "Reads or writes blocks of a file with one of several engines and times each.",
		       options);
	check_settings();
	engine = engines[set.engine];
	open_file();
	make_buffers(buffer_distance());
	timeline_make();
	prepare_file();
	make_order();
	if (!set.no_timing)
		stopwatch_calibrate();
	if (set.rate > 0)	/* else the kernel may wake us 50 us late, to save power */
		prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0);
	engine->open();

	if (workload_ready()) {
		used = run(engine);
		json_open(NULL, '{');
		report(engine, &used);
		timeline_write();
		if (set.verify == VERIFY_AFTER)
			verify_after(engine);
		if (set.verify) {
			json_integer("verified_ios", (int64_t)tally.verified_ios);
			json_unsigned("checksum", tally.checksum);
		}
		json_close('}');
		status = workload_end();
	}
	engine->close();
	return status;
}
