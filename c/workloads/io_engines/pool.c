// SPDX-License-Identifier: Apache-2.0
/*
 * As many threads as the queue is deep. Each makes one pread() or pwrite() after
 * the other and sleeps meanwhile. This is what most programs do to keep several
 * I/Os in flight.
 */
#include <pthread.h>
#include <signal.h>

#include "loop.h"

struct worker {
	pthread_t thread;
	unsigned int index;		/* of its slot */
	uint64_t calls;
	struct tally tally;
};

static struct worker *workers;
/* The threads and main() meet there, and see all that was written before. In between, only `started` is shared. */
static pthread_barrier_t begin, end;
static pthread_mutex_t schedule_lock = PTHREAD_MUTEX_INITIALIZER;
static bool closing;

/* Takes the next I/O: its number among all that were started. False when there is none left. */
static bool take(uint64_t *number, uint64_t *scheduled_ns)
{
	if (over())
		return false;
	if (set.rate == 0) {
		*number = __atomic_fetch_add(&started, 1, __ATOMIC_RELAXED);
		return *number < stop_at;
	}
	pthread_mutex_lock(&schedule_lock);
	*number = __atomic_load_n(&started, __ATOMIC_RELAXED);
	*scheduled_ns = schedule_next();
	if (*number < stop_at) {
		__atomic_fetch_add(&started, 1, __ATOMIC_RELAXED);	/* others read it without the lock */
		schedule_take();
	}
	pthread_mutex_unlock(&schedule_lock);
	return *number < stop_at;
}

/* False when the time is over first: then the I/O is not started after all. The first one always is. */
static bool wait_until_due(uint64_t number, uint64_t scheduled_ns)
{
	while (now_ns() < scheduled_ns && !out_of_time())
		sleep_until(scheduled_ns);
	if (number == 0 || !out_of_time())
		return true;
	__atomic_fetch_sub(&started, 1, __ATOMIC_RELAXED);
	return false;
}

static void work(struct worker *worker)
{
	const bool timing = !set.no_timing;
	uint64_t number, scheduled_ns = 0, stamp_ns = timing ? stamp() : 0;
	struct slot *slot = &slots[worker->index];

	while (take(&number, &scheduled_ns)) {
		if (set.rate) {
			if (!wait_until_due(number, scheduled_ns))
				return;
			stamp_ns = stamp();
		}
		prepare_slot(slot, worker->index, position_of(number), set.rate ? scheduled_ns : stamp_ns, stamp_ns);
		sync_move(slot_buffer(worker->index), slot->offset_bytes, 0, &worker->calls);
		stamp_ns = timing ? stamp() : 0;
		count_io(&worker->tally, worker->index, stamp_ns);
		if (timing && set.verify == VERIFY_DURING)
			stamp_ns = stamp();	/* comparing is no part of the next I/O */
	}
}

static void *worker_main(void *argument)
{
	char name[16];
	struct worker *worker = argument;

	snprintf(name, sizeof(name), "pool-%u", worker->index);
	pthread_setname_np(pthread_self(), name);
	for (;;) {
		pthread_barrier_wait(&begin);
		if (closing)
			return NULL;
		work(worker);
		pthread_barrier_wait(&end);
	}
}

static void pool_open(void)
{
	unsigned int depth = (unsigned int)set.queue_depth;
	sigset_t all, before;

	workers = calloc(depth, sizeof(*workers));
	if (!workers || pthread_barrier_init(&begin, NULL, depth + 1) || pthread_barrier_init(&end, NULL, depth + 1))
		die("no memory for %u threads", "Give a smaller --queue-depth.", depth);
	/* Signals are for main(), which waits for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned int i = 0; i < depth; i++) {
		int error;

		workers[i].index = i;
		error = pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]);
		if (error)
			die("thread %u of %u could not be started: %s",
			    "Give a smaller --queue-depth: see `ulimit -u`.", i + 1, depth, strerror(error));
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void add_tally(struct tally *into, struct tally *from)
{
	into->ios += from->ios;
	into->verified_ios += from->verified_ios;
	into->checksum += from->checksum;
	histogram_merge(&into->latency, &from->latency);
	histogram_merge(&into->service, &from->service);
	memset(from, 0, sizeof(*from));
}

static void pool_loop(void)
{
	pthread_barrier_wait(&begin);
	pthread_barrier_wait(&end);
	if (started > stop_at)
		started = stop_at;	/* each thread took one too many to see the end */
	for (unsigned int i = 0; i < (unsigned int)set.queue_depth; i++)
		add_tally(&tally, &workers[i].tally);
}

static void pool_close(void)
{
	closing = true;
	pthread_barrier_wait(&begin);
	for (unsigned int i = 0; i < (unsigned int)set.queue_depth; i++)
		pthread_join(workers[i].thread, NULL);
	free(workers);
}

static void pool_report_calls(void)
{
	uint64_t calls = 0;

	for (unsigned int i = 0; i < (unsigned int)set.queue_depth; i++)
		calls += workers[i].calls;
	json_integer(sync_call_name(), (int64_t)calls);
}

const struct engine pool_engine = {
	.name = "pool",
	.open = pool_open,
	.loop = pool_loop,
	.close = pool_close,
	.report_calls = pool_report_calls,
};
