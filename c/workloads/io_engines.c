// SPDX-License-Identifier: Apache-2.0
/*
 * Lessons 06 and 07: one program, three ways to do the same I/O.
 *
 *	io_engines --go --engine sync
 *	io_engines --go --engine io_uring --queue-depth 32 --block-bytes 64k
 *	io_engines --go --engine libaio --queue-depth 32 --cache cold
 *
 * The settings and the table of engines are in io_engines.h, the engines
 * themselves in io_engines_table.h, the data file in io_engines_file.h. Here are
 * the loop that is measured, and the report.
 */
#include <dirent.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "io_engines.h"
#include "io_engines_file.h"
#include "io_engines_table.h"
#include "stopwatch.h"

static const char *const operation_names[] = { "read", "write", NULL };
static const char *const order_names[] = { "random", "sequential", NULL };
static const char *const cache_names[] = { "direct", "cold", "warm", NULL };
static const char *const taskrun_names[] = { "auto", "defer", "coop", "plain", NULL };
static const char *const verify_names[] = { "no", "after", "during", NULL };

static const struct option_row options[] = {
	OPTION_CHOICE("engine", &set.engine, engine_names, "how the I/O is done"),
	OPTION_CHOICE("operation", &set.operation, operation_names, "what is done"),
	OPTION_CHOICE("order", &set.order, order_names, "which block comes next; each one once per pass"),
	OPTION_CHOICE("cache", &set.cache, cache_names,
		      "direct: O_DIRECT; cold: page cache, emptied of this file before each pass; warm: read in first"),
	OPTION_BYTES("block-bytes", &set.block_bytes, 512, 4 << 20, "size of one I/O"),
	OPTION_BYTES("file-bytes", &set.file_bytes, 1, 1ll << 40, "size of the data file"),
	OPTION_INTEGER("queue-depth", &set.queue_depth, 1, MAX_DEPTH, "I/Os", "I/Os in flight at a time"),
	OPTION_INTEGER("batch", &set.batch, 1, MAX_DEPTH, "I/Os", "I/Os submitted per call, at most"),
	OPTION_INTEGER("wait-for", &set.wait_for, 1, MAX_DEPTH, "I/Os", "I/Os that one call waits for"),
	OPTION_REAL("seconds", &set.seconds, 0, 3600, "seconds", "how long; 0: until --ios are done"),
	OPTION_INTEGER("ios", &set.ios, 0, 1ll << 40, "I/Os", "how many; 0: until --seconds are over"),
	OPTION_INTEGER("seed", &set.seed, 0, INT32_MAX, "", "what the order and the content are drawn from"),
	OPTION_TEXT("folder", &set.folder, "a folder", "where the data file is made; it never has a name there"),
	OPTION_TEXT("file", &set.file, "a path", "read this file instead of making one"),
	OPTION_INTEGER("fdatasync-every", &set.fdatasync_every, 0, 1ll << 40, "I/Os",
		       "call fdatasync after this many writes; 0: never"),
	OPTION_CHOICE("verify", &set.verify, verify_names, "compare every byte with what was written"),
	OPTION_FLAG("no-timing", &set.no_timing, "take no time stamps: what does timing cost?"),
	OPTION_TEXT("timeline", &set.timeline, "a path", "write one record per I/O to this file"),
	OPTION_INTEGER("timeline-ios", &set.timeline_ios, 1, 10000000, "I/Os", "records, at most"),
	OPTION_FLAG("one-call", &set.one_call, "io_uring: submit and wait in one system call"),
	OPTION_FLAG("registered-buffers", &set.registered_buffers, "io_uring: let the kernel map the buffers once"),
	OPTION_FLAG("registered-files", &set.registered_files, "io_uring: let the kernel look the file up once"),
	OPTION_CHOICE("taskrun", &set.taskrun, taskrun_names, "io_uring: when the kernel finishes an I/O"),
	OPTION_FLAG("sqpoll", &set.sqpoll, "io_uring: a kernel thread submits"),
	OPTION_INTEGER("sqpoll-idle-ms", &set.sqpoll_idle_ms, 1, 60000, "milliseconds", "idle time before it sleeps"),
	OPTION_INTEGER("sqpoll-cpu", &set.sqpoll_cpu, -1, CPU_SETSIZE - 1, "CPU", "it runs on this CPU; -1: on any"),
	OPTION_FLAG("spin", &set.spin, "io_uring with --sqpoll: look at the ring again and again instead of sleeping"),
	OPTION_FLAG("force-async", &set.force_async, "io_uring: give each I/O to a worker thread at once"),
	OPTION_INTEGER("iowq-bounded", &set.iowq_bounded, 0, 4096, "threads",
		       "io_uring: workers for files, at most; 0: the kernel's choice"),
	OPTION_INTEGER("iowq-unbounded", &set.iowq_unbounded, 0, 4096, "threads",
		       "io_uring: workers for the rest, at most; 0: the kernel's choice"),
	OPTIONS_END
};

/* One place for an I/O in flight. */
struct slot {
	uint64_t position;	/* in `order` */
	uint64_t offset;
	uint64_t submit_ns;	/* before it was submitted */
	uint64_t submitted_ns;	/* after; only for the time line */
};

/* One record of --timeline: 40 bytes. NumPy reads them with dtype "<u8,<u8,<u8,<u8,<u4,<u4". */
struct record {
	uint64_t submit_ns, submitted_ns, complete_ns, offset;
	uint32_t slot, bytes;
};

static struct slot slots[MAX_DEPTH];
static unsigned int free_slots[MAX_DEPTH], free_count;
static uint32_t *order;			/* in which the blocks are visited */
static uint64_t block_count, next_position;
static uint64_t started, finished, stop_at;
static struct histogram latency, submit_time, wait_time, fdatasync_time;
static struct record *records;
static uint64_t record_count;
static uint64_t written, verified, verified_sum;
static volatile sig_atomic_t time_is_up;

__attribute__((noreturn))
static void fail_io(const struct slot *slot, int result)
{
	die("%s of %" PRId64 " bytes at %" PRIu64 ": %s",
	    result == -ENOSPC ? "Free some space, or choose another --folder." :
	    result == -EINVAL ? "With O_DIRECT, --block-bytes must be a multiple of the device's sector." :
	    "Look at `dmesg`. Nothing of this run counts.",
	    operation_names[set.operation], set.block_bytes, slot->offset,
	    result < 0 ? strerror(-result) : "only a part was moved");
}

static void record_io(const struct slot *slot, unsigned int index, uint64_t complete_ns)
{
	if (record_count < (uint64_t)set.timeline_ios)
		records[record_count] = (struct record){ slot->submit_ns, slot->submitted_ns, complete_ns, slot->offset,
							 index, (uint32_t)set.block_bytes };
	record_count++;
}

/* The blocks that this run has written carry the pattern of the next seed. */
static void verify_io(const struct slot *slot, const char *buffer)
{
	uint64_t seed = (uint64_t)set.seed + (slot->position < written);

	if (!set.file && !pattern_holds(buffer, seed, slot->offset, (uint64_t)set.block_bytes))
		die("wrong content in the block at %" PRIu64,
		    "Report this, with the options: the engine or the file system has returned other content.",
		    slot->offset);
	verified_sum += checksum(buffer, (uint64_t)set.block_bytes);
	verified++;
}

/* ---- the measured loop ---- */

/* However short the time, one I/O is made: a run without any would show nothing. */
static bool over(void)
{
	return (time_is_up && started) || workload_stopped || (set.ios && started == (uint64_t)set.ios);
}

/* A time line is compared with what the kernel saw, so it needs the kernel's own clock; durations alone do not. */
static uint64_t stamp(void)
{
	return records ? now_ns() : stopwatch_ns();
}

static void start_io(const struct engine *engine, uint64_t stamp_ns)
{
	unsigned int index = free_slots[--free_count];
	struct slot *slot = &slots[index];

	slot->position = next_position;
	slot->offset = (uint64_t)order[next_position] * (uint64_t)set.block_bytes;
	slot->submit_ns = stamp_ns;
	if (++next_position == block_count)
		next_position = 0;
	started++;
	if (set.operation == WRITE && set.verify) {
		pattern_fill(slot_buffer(index), (uint64_t)set.seed + 1, slot->offset, (uint64_t)set.block_bytes);
		slot->submit_ns = stamp();	/* filling is no part of the I/O */
	}
	engine->queue(index, slot->offset);
}

static void end_io(struct completion ended, uint64_t stamp_ns)
{
	struct slot *slot = &slots[ended.slot];

	if (ended.result != set.block_bytes)
		fail_io(slot, ended.result);
	if (!set.no_timing)
		histogram_add(&latency, stamp_ns - slot->submit_ns);
	if (records)
		record_io(slot, ended.slot, stamp_ns);
	if (set.verify == VERIFY_DURING)
		verify_io(slot, slot_buffer(ended.slot));
	free_slots[free_count++] = ended.slot;
	finished++;
}

/*
 * Keeps --queue-depth I/Os in flight until `stop_at` of them were started or
 * time is up, then waits for the rest. The clock is read once after each submit
 * and once after each wait, however large the batch; each reading is also the
 * start of what follows. Each I/O touches the histogram once, when it ends.
 */
static void keep_busy(const struct engine *engine)
{
	const bool timing = !set.no_timing, apart = set.engine != SYNC && !set.one_call;
	const unsigned int depth = (unsigned int)set.queue_depth;
	const unsigned int most = (unsigned int)set.batch, least = (unsigned int)set.wait_for;
	struct completion ended[MAX_DEPTH];
	uint64_t before_ns, stamp_ns = timing ? stamp() : 0;

	for (;;) {
		unsigned int queued = 0, under_way, count;

		if (free_count >= least) {
			for (; queued < most && free_count && started < stop_at && !over(); queued++)
				start_io(engine, stamp_ns);
		}
		if (queued) {
			engine->submit();
			if (timing && apart) {
				before_ns = stamp_ns;
				stamp_ns = stamp();
				histogram_add(&submit_time, stamp_ns - before_ns);
			}
			for (unsigned int i = 0; records && i < queued; i++)
				slots[free_slots[free_count + i]].submitted_ns = stamp_ns;
			if (free_count >= least)
				continue;	/* there is room for another batch */
		}

		under_way = depth - free_count;
		if (under_way == 0)
			return;
		count = engine->wait(under_way < least ? under_way : least, ended);
		if (timing) {
			before_ns = stamp_ns;
			stamp_ns = stamp();
			if (apart)
				histogram_add(&wait_time, stamp_ns - before_ns);
		}
		for (unsigned int i = 0; i < count; i++)
			end_io(ended[i], stamp_ns);
		if (timing && set.verify == VERIFY_DURING)
			stamp_ns = stamp();	/* comparing is no part of the next I/O */
	}
}

/* ---- one run: the loop, cut into pieces where something must happen in between ---- */

static void on_alarm(int signal_number)
{
	(void)signal_number;
	time_is_up = 1;
}

static void start_alarm(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	int64_t us = (int64_t)(set.seconds * 1e6) + (set.seconds > 0);	/* 0 would mean: never */
	struct itimerval timer = { .it_value = { us / 1000000, us % 1000000 } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void stop_alarm(void)
{
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
}

static void sync_to_disk(void)
{
	uint64_t before_ns = now_ns();

	if (fdatasync(data_file))
		die("fdatasync: %s", "Look at `dmesg`: the disk refuses to write.", strerror(errno));
	histogram_add(&fdatasync_time, now_ns() - before_ns);
}

/* The next multiple of `step`, or never. */
static uint64_t next_multiple(uint64_t step)
{
	return step ? (started / step + 1) * step : UINT64_MAX;
}

static uint64_t least_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Returns how long it took, without the time for emptying the page cache. */
static uint64_t run(const struct engine *engine)
{
	uint64_t start_ns, before_ns, pause_ns = 0;
	uint64_t sync_step = (uint64_t)set.fdatasync_every, pass = set.cache == COLD ? block_count : 0;

	start_alarm();
	start_ns = now_ns();
	while (!over()) {
		if (pass && started && started % pass == 0) {
			before_ns = now_ns();
			drop_cache();
			pause_ns += now_ns() - before_ns;
		}
		stop_at = least_of(next_multiple(sync_step), next_multiple(pass));
		if (set.ios)
			stop_at = least_of(stop_at, (uint64_t)set.ios);
		keep_busy(engine);
		if (sync_step && started && started % sync_step == 0)
			sync_to_disk();
	}
	stop_alarm();		/* it would cut short what comes after the run */
	return now_ns() - start_ns - pause_ns;
}

/* Reads every block once more, with the same engine, and compares it. */
static void verify_after(const struct engine *engine)
{
	written = set.operation == WRITE ? started : 0;
	set.operation = READ;
	set.verify = VERIFY_DURING;
	set.no_timing = true;
	next_position = 0;
	stop_at = started + block_count;
	set.ios = 0;
	time_is_up = 0;
	keep_busy(engine);
}

/* ---- the report ---- */

static double seconds_of(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void report_kernel_thread(const char *id)
{
	char path[64], name[32] = "";
	unsigned long long cpu_ns = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", id);
	file = fopen(path, "re");
	if (file) {
		if (!fgets(name, sizeof(name), file))
			name[0] = '\0';
		name[strcspn(name, "\n")] = '\0';
		fclose(file);
	}
	snprintf(path, sizeof(path), "/proc/self/task/%.20s/schedstat", id);
	file = fopen(path, "re");
	if (file) {
		if (fscanf(file, "%llu", &cpu_ns) != 1)
			cpu_ns = 0;
		fclose(file);
	}
	json_open(NULL, '{');
	json_text("name", name);
	json_integer("tid", atoi(id));
	json_real("cpu_s", (double)cpu_ns / 1e9);
	json_close('}');
}

/* The kernel makes io_uring's helpers threads of this process: iou-sqp-PID submits, iou-wrk-PID works. */
static void report_kernel_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;

	json_open("kernel_threads", '[');
	while (tasks && (task = readdir(tasks))) {
		if (task->d_name[0] != '.' && atoi(task->d_name) != getpid())
			report_kernel_thread(task->d_name);
	}
	json_close(']');
	if (tasks)
		closedir(tasks);
}

struct usage {
	struct rusage process, thread;
};

static struct usage usage_now(void)
{
	struct usage usage;

	getrusage(RUSAGE_SELF, &usage.process);
	getrusage(RUSAGE_THREAD, &usage.thread);
	return usage;
}

static void report_usage(const struct usage *from, const struct usage *to)
{
	double user_s = seconds_of(to->thread.ru_utime) - seconds_of(from->thread.ru_utime);
	double system_s = seconds_of(to->thread.ru_stime) - seconds_of(from->thread.ru_stime);
	double all_s = seconds_of(to->process.ru_utime) - seconds_of(from->process.ru_utime) +
		       seconds_of(to->process.ru_stime) - seconds_of(from->process.ru_stime);

	json_real("user_s", user_s);
	json_real("system_s", system_s);
	json_real("kernel_threads_s", all_s > user_s + system_s ? all_s - user_s - system_s : 0);
	json_integer("voluntary_switches", to->thread.ru_nvcsw - from->thread.ru_nvcsw);
	json_integer("involuntary_switches", to->thread.ru_nivcsw - from->thread.ru_nivcsw);
}

static void report(const struct engine *engine, uint64_t elapsed_ns, const struct usage *from, const struct usage *to)
{
	json_text("engine", engine_names[set.engine]);
	json_text("operation", operation_names[set.operation]);
	json_text("order", order_names[set.order]);
	json_text("cache", cache_names[set.cache]);
	json_text("filesystem", file_system_name());
	json_integer("block_bytes", set.block_bytes);
	json_integer("file_bytes", set.file_bytes);
	json_integer("queue_depth", set.queue_depth);
	json_integer("batch", set.batch);
	json_integer("wait_for", set.wait_for);
	json_integer("ios", (int64_t)finished);
	json_integer("bytes", (int64_t)finished * set.block_bytes);
	json_real("elapsed_s", (double)elapsed_ns / 1e9);
	json_bool("stopped", workload_stopped);
	report_usage(from, to);
	report_kernel_threads();
	json_open("calls", '{');
	engine->report_calls();
	json_integer("fdatasync", (int64_t)fdatasync_time.count);
	json_close('}');
	if (engine->report)
		engine->report();
	json_histogram("latency_ns", &latency);
	json_histogram("submit_call_ns", &submit_time);
	json_histogram("wait_call_ns", &wait_time);
	json_histogram("fdatasync_ns", &fdatasync_time);
}

static void write_timeline(void)
{
	uint64_t kept = least_of(record_count, (uint64_t)set.timeline_ios);
	FILE *file = fopen(set.timeline, "we");

	if (!file || fwrite(records, sizeof(*records), kept, file) != kept || fclose(file))
		die("--timeline %s: %s", "Choose a path where you may write.", set.timeline, strerror(errno));
	json_integer("timeline_ios", (int64_t)kept);
	json_integer("timeline_lost", (int64_t)(record_count - kept));
	records = NULL;
}

/* ---- set-up ---- */

/* Each block once per pass. Shuffled beforehand: the loop draws no random numbers. */
static void make_order(void)
{
	block_count = (uint64_t)(set.file_bytes / set.block_bytes);
	if (block_count > 1 << 26)
		die("%" PRIu64 " blocks are too many (allowed: %d)",
		    "Give a smaller --file-bytes or a larger --block-bytes.", block_count, 1 << 26);
	order = malloc(block_count * sizeof(*order));
	if (!order)
		die("no memory for the order of %" PRIu64 " blocks", "Give a smaller --file-bytes.", block_count);
	for (uint64_t i = 0; i < block_count; i++) {
		uint64_t other = set.order == RANDOM ? pattern_word((uint64_t)set.seed, ~i) % (i + 1) : i;

		order[i] = order[other];
		order[other] = (uint32_t)i;
	}
}

static void make_buffers(void)
{
	size_t bytes = (size_t)set.queue_depth * (size_t)set.block_bytes;

	if (bytes > 1 << 30)
		die("%zu bytes of buffers are too many", "Allowed: --queue-depth times --block-bytes up to 1 GiB.",
		    bytes);
	/* Whole pages, as O_DIRECT likes them; touched now, so that no page fault is measured. */
	buffers = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (buffers == MAP_FAILED)
		die("no memory for %zu bytes of buffers", "Give a smaller --queue-depth or --block-bytes.", bytes);
	pattern_fill(buffers, (uint64_t)set.seed + 1, 0, bytes);
	for (free_count = 0; free_count < (unsigned int)set.queue_depth; free_count++)
		free_slots[free_count] = free_count;
}

static void make_records(void)
{
	if (!set.timeline)
		return;
	if (set.no_timing)
		die("--timeline and --no-timing exclude each other", "Leave out one of the two.");
	records = mmap(NULL, (size_t)set.timeline_ios * sizeof(*records), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (records == MAP_FAILED)
		die("no memory for --timeline-ios %" PRId64, "Give a smaller --timeline-ios.", set.timeline_ios);
}

static void check_settings(void)
{
	bool uring_only = set.one_call || set.registered_buffers || set.registered_files || set.sqpoll || set.spin ||
			  set.force_async || set.iowq_bounded || set.iowq_unbounded || set.taskrun != TASKRUN_AUTO;

	if (set.engine != IO_URING && uring_only)
		die("an option for io_uring alone was given to --engine %s",
		    "Add --engine io_uring, or leave out --one-call, --registered-..., --taskrun, --sqpoll, --spin, "
		    "--force-async and --iowq-...", engine_names[set.engine]);
	if (set.batch > set.queue_depth || set.wait_for > set.queue_depth)
		die("--batch %" PRId64 ", --wait-for %" PRId64 ": one of them is larger than --queue-depth %" PRId64,
		    "Allowed: 1 to --queue-depth.", set.batch, set.wait_for, set.queue_depth);
	if (set.block_bytes % 8)
		die("--block-bytes cannot be \"%" PRId64 "\"", "Allowed: multiples of 8.", set.block_bytes);
	if (set.seconds == 0 && set.ios == 0)
		die("--seconds 0 and --ios 0: it would never end", "Give --seconds or --ios.");
	if (set.file && set.operation == WRITE)
		die("--file is for reading only", "Leave out --file: a file to write to is made in --folder.");
	if (set.fdatasync_every && set.operation == READ)
		die("--fdatasync-every is for writing", "Leave it out, or add --operation write.");
	if (set.verify == VERIFY_DURING && set.operation == WRITE)
		die("--verify during is for reading", "Use --verify after.");
	if (set.sqpoll && (set.taskrun == TASKRUN_DEFER || set.taskrun == TASKRUN_COOP))
		die("--sqpoll and --taskrun %s exclude each other", "Leave out --taskrun.", taskrun_names[set.taskrun]);
	if (set.sqpoll && set.one_call)
		die("--sqpoll and --one-call exclude each other: the thread submits", "Leave out --one-call.");
	if (set.sqpoll_cpu >= 0 && !set.sqpoll)
		die("--sqpoll-cpu %" PRId64 " without --sqpoll: there is no thread to pin", "Add --sqpoll.",
		    set.sqpoll_cpu);
	if (set.spin && !set.sqpoll)
		die("--spin needs --sqpoll: without it nothing fills the completion ring", "Add --sqpoll.");
}

int main(int argc, char **argv)
{
	const struct engine *engine;
	struct usage from, to;
	uint64_t elapsed_ns;
	int status = 0;

	workload_begin(argc, argv, "Reads or writes blocks of a file with one of three engines and times each.", options);
	check_settings();
	engine = &engines[set.engine];
	make_buffers();
	make_records();
	prepare_file();
	make_order();
	if (!set.no_timing)
		stopwatch_calibrate();
	engine->open();

	if (workload_ready()) {
		from = usage_now();
		elapsed_ns = run(engine);
		to = usage_now();

		json_open(NULL, '{');
		report(engine, elapsed_ns, &from, &to);
		if (records)
			write_timeline();
		if (set.verify == VERIFY_AFTER)
			verify_after(engine);
		if (set.verify) {
			json_integer("verified_ios", (int64_t)verified);
			json_unsigned("checksum", verified_sum);
		}
		json_close('}');
		status = workload_end();
	}
	engine->close();
	return status;
}
