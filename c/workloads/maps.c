// SPDX-License-Identifier: Apache-2.0
/*
 * Lesson 02: threads on several CPUs that make a known number of system calls.
 *
 *	maps --go --work count --threads 2 --calls 100003	each thread calls getppid()
 *	maps --go --work sizes --smallest 1 --largest 97	writes of 1, 2, ... 97, 1, 2, ... bytes to /dev/null
 *	maps --go --work sleep --threads 2 --sleep-us 500	thread 1 sleeps 500 us each time, thread 2 1000 us
 *	maps --go --work turns --threads 2 --calls 31		the threads take turns: writes of 1, 2, 3, ... 62 bytes
 *
 * Thread 1 runs on the first CPU that this process may use, thread 2 on the next one, and so on. The writes are
 * pwrite(2), so that they cannot be taken for the write(2) of the answer.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "histogram.h"
#include "workload.h"

enum { WORK_COUNT, WORK_SIZES, WORK_SLEEP, WORK_TURNS };
static const char *const works[] = { "count", "sizes", "sleep", "turns", NULL };

#define MOST_BYTES (1 << 20)

static int work = WORK_COUNT;
static int64_t threads = 1;
static int64_t calls = 1000;
static int64_t smallest = 1;
static int64_t largest = 1000;
static int64_t step = 1;
static int64_t asked_sleep_us = 1000;
static int64_t slow_thread;
static bool same_cpu;

static const struct option_row options[] = {
	OPTION_CHOICE("work", &work, works, "what each thread does"),
	OPTION_INTEGER("threads", &threads, 1, 64, "threads", "how many"),
	OPTION_INTEGER("calls", &calls, 0, 1000000000, "calls", "system calls of each thread"),
	OPTION_INTEGER("smallest", &smallest, 1, MOST_BYTES, "bytes", "sizes: the first write"),
	OPTION_INTEGER("largest", &largest, 1, MOST_BYTES, "bytes", "sizes: no write is larger; then over again"),
	OPTION_INTEGER("step", &step, 1, MOST_BYTES, "bytes", "sizes: from one write to the next"),
	OPTION_INTEGER("sleep-us", &asked_sleep_us, 1, 1000000, "microseconds", "sleep: thread N sleeps N times this"),
	OPTION_INTEGER("slow-thread", &slow_thread, 0, 64, "thread",
		       "sleep: all sleep alike, but this one twice as long"),
	OPTION_FLAG("same-cpu", &same_cpu, "all threads on the first CPU"),
	OPTIONS_END
};

struct worker {
	pthread_t thread;
	int number;		/* from 0 */
	int cpu;
	pid_t tid;
	int64_t calls;
	uint64_t asked_ns;	/* sleep: how long each sleep should be */
	uint64_t elapsed_ns;
	struct histogram latency;
};

static pthread_barrier_t set_up, gone;
static bool quit;
static int null_fd;
static char bytes[MOST_BYTES];
static _Atomic int64_t turn;

static void write_bytes(int64_t size)
{
	if (pwrite(null_fd, bytes, (size_t)size, 0) != size)
		die("pwrite to /dev/null: %s", "Check that /dev/null is the device of that name.", strerror(errno));
}

static void work_count(struct worker *self)
{
	for (; self->calls < calls && !workload_stopped; self->calls++)
		getppid();
}

static void work_sizes(struct worker *self)
{
	int64_t size = smallest;

	for (; self->calls < calls && !workload_stopped; self->calls++) {
		write_bytes(size);
		size = size + step <= largest ? size + step : smallest;
	}
}

static void work_sleep(struct worker *self)
{
	int64_t times = slow_thread ? 1 + (self->number + 1 == slow_thread) : self->number + 1;
	struct timespec span;

	self->asked_ns = (uint64_t)(asked_sleep_us * times) * 1000;
	span.tv_sec = (time_t)(self->asked_ns / NS_PER_S);
	span.tv_nsec = (long)(self->asked_ns % NS_PER_S);
	for (; self->calls < calls && !workload_stopped; self->calls++) {
		uint64_t began_ns = now_ns();

		if (clock_nanosleep(CLOCK_MONOTONIC, 0, &span, NULL))
			break;		/* a signal: we are asked to end */
		histogram_add(&self->latency, now_ns() - began_ns);
	}
}

/* Turn 0 is thread 0's, turn 1 thread 1's, and so on: each write happens after the one before it has returned. */
static void work_turns(struct worker *self)
{
	for (; self->calls < calls && !workload_stopped; self->calls++) {
		int64_t mine = self->calls * threads + self->number;

		while (atomic_load(&turn) != mine && !workload_stopped)
			sched_yield();
		if (workload_stopped)
			break;
		write_bytes(mine % MOST_BYTES + 1);
		atomic_store(&turn, mine + 1);
	}
}

static void *run_worker(void *argument)
{
	static void (*const table[])(struct worker *) = {
		[WORK_COUNT] = work_count,
		[WORK_SIZES] = work_sizes,
		[WORK_SLEEP] = work_sleep,
		[WORK_TURNS] = work_turns,
	};
	struct worker *self = argument;
	uint64_t began_ns;

	workload_pin(self->cpu, "--cpu");
	self->tid = (pid_t)syscall(SYS_gettid);
	pthread_barrier_wait(&set_up);
	pthread_barrier_wait(&gone);
	if (!quit) {
		began_ns = now_ns();
		table[work](self);
		self->elapsed_ns = now_ns() - began_ns;
	}
	return NULL;
}

/* The CPU of thread `number`: the next that this process may use, from the first again after the last. */
static int cpu_of(const cpu_set_t *allowed, int number)
{
	int wanted = same_cpu ? 0 : number % CPU_COUNT(allowed);

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, allowed) && wanted-- == 0)
			return cpu;
	}
	return 0;
}

static void tell(struct worker *workers)
{
	uint64_t longest_ns = 0;
	int64_t done = 0;

	for (int64_t i = 0; i < threads; i++) {
		done += workers[i].calls;
		if (workers[i].elapsed_ns > longest_ns)
			longest_ns = workers[i].elapsed_ns;
	}
	json_open(NULL, '{');
	json_integer("calls", done);
	json_real("elapsed_s", (double)longest_ns / 1e9);
	json_open("workers", '[');
	for (int64_t i = 0; i < threads; i++) {
		json_open(NULL, '{');
		json_integer("tid", workers[i].tid);
		json_integer("cpu", workers[i].cpu);
		json_integer("calls", workers[i].calls);
		json_real("elapsed_s", (double)workers[i].elapsed_ns / 1e9);
		if (work == WORK_SLEEP) {
			json_integer("asked_ns", (int64_t)workers[i].asked_ns);
			json_histogram("latency_ns", &workers[i].latency);
		}
		json_close('}');
	}
	json_close(']');
	json_close('}');
}

int main(int argc, char **argv)
{
	struct worker *workers;
	cpu_set_t allowed;
	int status = 0;

	workload_begin(argc, argv, "Makes system calls from several threads on several CPUs.", options);
	if (smallest > largest)
		die("no size lies between them", "Pass --smallest no larger than --largest.");
	if (slow_thread > threads)
		die("there is no thread %" PRId64, "Pass --slow-thread no larger than --threads.", slow_thread);
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	workers = calloc((size_t)threads, sizeof(*workers));
	if (null_fd < 0 || !workers || sched_getaffinity(0, sizeof(allowed), &allowed))
		die("cannot set up: %s", "Free memory, and see that /dev/null exists.", strerror(errno));
	pthread_barrier_init(&set_up, NULL, (unsigned int)threads + 1);
	pthread_barrier_init(&gone, NULL, (unsigned int)threads + 1);
	for (int i = 0; i < threads; i++) {
		workers[i].number = i;
		workers[i].cpu = cpu_of(&allowed, i);
		if ((errno = pthread_create(&workers[i].thread, NULL, run_worker, &workers[i])))
			die("thread %d could not be started: %s", "Look at `ulimit -u`.", i + 1, strerror(errno));
	}

	pthread_barrier_wait(&set_up);		/* each thread is on its CPU */
	quit = !workload_ready();
	pthread_barrier_wait(&gone);
	for (int64_t i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	if (!quit) {
		tell(workers);
		status = workload_end();
	}
	pthread_barrier_destroy(&set_up);
	pthread_barrier_destroy(&gone);
	free(workers);
	close(null_fd);
	return status;
}
