// SPDX-License-Identifier: Apache-2.0
/* The loop that is measured, and the run that is made of it. */
#include <signal.h>
#include <sys/time.h>

#include "cache.h"
#include "loop.h"
#include "pattern.h"

/* For what is done per I/O: a call costs some nanoseconds, and a read of the page cache some hundred. */
#define MEASURED __attribute__((always_inline)) static inline

struct slot slots[MAX_DEPTH];
struct tally tally;
struct histogram submit_call, wait_call, fdatasync_call;
uint64_t started, stop_at, first_started, offered;

static unsigned int free_slots[MAX_DEPTH], free_count;
static uint32_t *order;			/* in which the blocks are visited */
static uint64_t block_count, next_position;
static uint64_t written;		/* blocks, when the writing is over */
static bool open_loop, kernel_clock;
static volatile sig_atomic_t time_is_up;

/* The blocks that this run has written carry the pattern of the next seed. */
static void verify_io(struct tally *into, const struct slot *slot, const char *buffer)
{
	uint64_t seed = (uint64_t)set.seed + (slot->position < written);

	if (!set.file && !pattern_holds(buffer, seed, slot->offset_bytes, (uint64_t)set.block_bytes))
		die("wrong content in the block at %" PRIu64,
		    "Report this, with the options: the engine or the file system has returned other content.",
		    slot->offset_bytes);
	into->checksum += checksum(buffer, (uint64_t)set.block_bytes);
	into->verified_ios++;
}

/* ---- the measured loop ---- */

/* However short the time, one I/O is made: a run without any would show nothing. */
MEASURED bool time_is_over(void)
{
	return (time_is_up && __atomic_load_n(&started, __ATOMIC_RELAXED)) || workload_stopped;
}

MEASURED bool is_over(void)
{
	/* The threads of the pool count together. */
	return time_is_over() || (set.ios && __atomic_load_n(&started, __ATOMIC_RELAXED) >= (uint64_t)set.ios);
}

bool out_of_time(void)
{
	return time_is_over();
}

bool over(void)
{
	return is_over();
}

/*
 * A time line is compared with what the kernel saw, and a schedule with what a timer does: both need the kernel's own
 * clock. Durations alone do not.
 */
MEASURED uint64_t read_clock(void)
{
	return kernel_clock ? now_ns() : stopwatch_ns();
}

uint64_t stamp(void)
{
	return read_clock();
}

uint64_t position_of(uint64_t number)
{
	return (number - first_started) % block_count;
}

MEASURED void fill_slot(struct slot *slot, unsigned int index, uint64_t position, uint64_t scheduled_ns,
			uint64_t stamp_ns)
{
	slot->position = position;
	slot->offset_bytes = (uint64_t)order[position] * (uint64_t)set.block_bytes;
	slot->scheduled_ns = scheduled_ns;
	slot->submit_ns = stamp_ns;
	slot->submitted_ns = stamp_ns;
	slot->done_bytes = 0;
	slot->tries = 0;
	if (set.operation == WRITE && set.verify) {
		pattern_fill(slot_buffer(index), (uint64_t)set.seed + 1, slot->offset_bytes, (uint64_t)set.block_bytes);
		slot->submit_ns = read_clock();	/* filling is no part of the I/O */
		if (!open_loop)
			slot->scheduled_ns = slot->submit_ns;
	}
}

MEASURED void add_io(struct tally *into, unsigned int index, uint64_t stamp_ns)
{
	struct slot *slot = &slots[index];

	if (!set.no_timing)
		histogram_add(&into->latency, stamp_ns - slot->scheduled_ns);
	if (open_loop)
		histogram_add(&into->service, stamp_ns - slot->submit_ns);
	if (has_timeline)
		timeline_add(slot, index, stamp_ns);
	if (set.verify == VERIFY_DURING)
		verify_io(into, slot, slot_buffer(index));
	into->ios++;
}

/* For the threads of the pool. */
void prepare_slot(struct slot *slot, unsigned int index, uint64_t position, uint64_t scheduled_ns, uint64_t stamp_ns)
{
	fill_slot(slot, index, position, scheduled_ns, stamp_ns);
}

void count_io(struct tally *into, unsigned int index, uint64_t stamp_ns)
{
	add_io(into, index, stamp_ns);
}

MEASURED void start_io(const struct engine *engine, uint64_t scheduled_ns, uint64_t stamp_ns)
{
	unsigned int index = free_slots[--free_count];

	fill_slot(&slots[index], index, next_position, scheduled_ns, stamp_ns);
	if (++next_position == block_count)
		next_position = 0;
	started++;
	engine->queue(index, slots[index].offset_bytes, 0);
}

/*
 * The kernel has moved a part only, or a signal came first: submit the rest. It stays one I/O: its latency counts from
 * the first submit to the last byte, and the result says how many such repeats there were.
 */
static void repeat_io(const struct engine *engine, struct completion ended)
{
	struct slot *slot = &slots[ended.slot];

	if (ended.result > 0) {
		slot->done_bytes += (uint32_t)ended.result;
		slot->tries = 0;
	} else if (!ask_again(-ended.result, &slot->tries)) {
		fail_at(slot->offset_bytes, ended.result);
	}
	repeats++;
	engine->queue(ended.slot, slot->offset_bytes, slot->done_bytes);
	engine->submit();
}

MEASURED void end_io(const struct engine *engine, struct completion ended, uint64_t stamp_ns)
{
	if ((int64_t)slots[ended.slot].done_bytes + ended.result != set.block_bytes) {
		repeat_io(engine, ended);
		return;
	}
	add_io(&tally, ended.slot, stamp_ns);
	free_slots[free_count++] = ended.slot;
}

/*
 * The closed loop: keeps --queue-depth I/Os in flight until `stop_at` of them
 * were started or time is up, then waits for the rest. The clock is read once
 * after each submit and once after each wait, however large the batch; each
 * reading is also the start of what follows. Each I/O touches the histogram once,
 * when it ends.
 */
static void keep_busy(const struct engine *engine)
{
	const bool timing = !set.no_timing, apart = engine->asynchronous && !set.one_call;
	const unsigned int depth = (unsigned int)set.queue_depth;
	const unsigned int most = (unsigned int)set.batch, least = (unsigned int)set.wait_for;
	struct completion ended[MAX_DEPTH];
	uint64_t before_ns, stamp_ns = timing ? read_clock() : 0;

	for (;;) {
		unsigned int queued = 0, in_flight, count;

		if (free_count >= least) {
			for (; queued < most && free_count && started < stop_at && !is_over(); queued++)
				start_io(engine, stamp_ns, stamp_ns);
		}
		if (queued) {
			engine->submit();
			if (timing && apart) {
				before_ns = stamp_ns;
				stamp_ns = read_clock();
				histogram_add(&submit_call, stamp_ns - before_ns);
			}
			for (unsigned int i = 0; has_timeline && i < queued; i++)
				slots[free_slots[free_count + i]].submitted_ns = stamp_ns;
			if (free_count >= least)
				continue;	/* there is room for another batch */
		}

		in_flight = depth - free_count;
		if (in_flight == 0)
			return;
		count = engine->wait(in_flight < least ? in_flight : least, ended);
		if (timing) {
			before_ns = stamp_ns;
			stamp_ns = read_clock();
			if (apart)
				histogram_add(&wait_call, stamp_ns - before_ns);
		}
		for (unsigned int i = 0; i < count; i++)
			end_io(engine, ended[i], stamp_ns);
		if (timing && set.verify == VERIFY_DURING)
			stamp_ns = read_clock();	/* comparing is no part of the next I/O */
	}
}

/*
 * The open loop: an I/O starts when it is due, whether or not the ones before it
 * have ended. Only when all --queue-depth places are taken must it wait, and its
 * latency, which counts from when it was due, contains that wait.
 */
static void serve_schedule(const struct engine *engine)
{
	const unsigned int depth = (unsigned int)set.queue_depth;
	struct completion ended[MAX_DEPTH];

	for (;;) {
		unsigned int queued = 0, count = 0;
		uint64_t stamp_ns = read_clock();
		bool ending;

		for (; queued < (unsigned int)set.batch && free_count && started < stop_at && !is_over() &&
		       schedule_next() <= stamp_ns; queued++) {
			start_io(engine, schedule_next(), stamp_ns);
			schedule_take();
		}
		if (queued) {
			engine->submit();
			for (unsigned int i = 0; has_timeline && i < queued; i++)
				slots[free_slots[free_count + i]].submitted_ns = read_clock();
			continue;		/* more may be due by now */
		}
		ending = started >= stop_at || over();
		if (ending && free_count == depth)
			return;
		if (ending || free_count == 0)
			count = engine->wait(1, ended);
		else if (free_count < depth)
			count = engine->wait_until(schedule_next(), ended);
		else
			sleep_until(schedule_next());
		stamp_ns = read_clock();
		for (unsigned int i = 0; i < count; i++)
			end_io(engine, ended[i], stamp_ns);
	}
}

static void one_piece(const struct engine *engine)
{
	if (engine->loop)
		engine->loop();
	else if (open_loop)
		serve_schedule(engine);
	else
		keep_busy(engine);
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
	histogram_add(&fdatasync_call, now_ns() - before_ns);
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

/* Between two passes over a cold file. What it uses is no part of the run. */
static struct resources make_cold_again(const struct engine *engine)
{
	struct resources before = resources_now(true), pause;

	if (engine->unmap_pages)
		engine->unmap_pages();
	drop_cache();
	pause = resources_between(&before, &(struct resources){ 0 });
	schedule_shift(pause.elapsed_ns);
	return pause;
}

/* After the time for the run nothing is due any more, but the last I/Os may take longer. */
static uint64_t end_of_schedule(const struct resources *begin, const struct resources *pauses)
{
	uint64_t end_ns = begin->elapsed_ns + pauses->elapsed_ns + (uint64_t)(set.seconds * 1e9), stop_ns = now_ns();

	return set.seconds > 0 ? least_of(end_ns, stop_ns) : stop_ns;
}

struct resources run(const struct engine *engine)
{
	uint64_t sync_step = set.durable == DURABLE_EVERY ? (uint64_t)set.sync_every : 0;
	uint64_t pass = set.cache == COLD ? block_count : 0;
	struct resources begin = resources_now(false), pauses = { 0 }, used;

	for (free_count = 0; free_count < (unsigned int)set.queue_depth; free_count++)
		free_slots[free_count] = free_count;
	open_loop = set.rate > 0;
	kernel_clock = open_loop || has_timeline;
	begin.elapsed_ns = now_ns();
	schedule_begin(begin.elapsed_ns);
	start_alarm();
	while (!over()) {
		if (pass && started && started % pass == 0) {
			struct resources pause = make_cold_again(engine);

			resources_add(&pauses, &pause);
		}
		stop_at = least_of(next_multiple(sync_step), next_multiple(pass));
		if (set.ios)
			stop_at = least_of(stop_at, (uint64_t)set.ios);
		one_piece(engine);
		if (sync_step && started && started % sync_step == 0)
			sync_to_disk();
	}
	if (set.durable == DURABLE_END)
		sync_to_disk();
	stop_alarm();		/* it would cut short what comes after the run */
	used = resources_between(&begin, &pauses);
	if (open_loop)
		offered = set.ios && started == (uint64_t)set.ios ? started :
			  schedule_offered(end_of_schedule(&begin, &pauses));
	return used;
}

void verify_after(const struct engine *engine)
{
	written = set.operation == WRITE ? started : 0;
	set.operation = READ;
	set.verify = VERIFY_DURING;
	set.no_timing = true;
	set.rate = 0;
	open_loop = false;
	next_position = 0;
	first_started = started;
	stop_at = started + block_count;
	set.ios = 0;
	time_is_up = 0;
	one_piece(engine);
}

/* Each block once per pass. Shuffled in advance, so the measured loop draws no random numbers. */
void make_order(void)
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
