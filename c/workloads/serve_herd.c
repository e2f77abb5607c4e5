// SPDX-License-Identifier: Apache-2.0
/*
 * Lesson 11: several threads wait for the connections of one port. Whom does the
 * kernel wake for each?
 *
 *	serve_herd --go --share plain --threads 16 --connections 997
 *
 *	plain		each thread has an epoll set with the one listening socket in it
 *	exclusive	the same, with EPOLLEXCLUSIVE
 *	reuseport	each thread has a listening socket of its own for the port (SO_REUSEPORT)
 *
 * One client connects, one connection after the other, each when all servers sleep
 * again. The threads have names: "server", "client", and "main", which ends them.
 */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "local_sockets.h"

#define MOST_THREADS 64

enum { PLAIN, EXCLUSIVE, REUSEPORT };
static const char *const shares[] = { "plain", "exclusive", "reuseport", NULL };

static int share = PLAIN;
static int64_t threads = 16, connections = 997;

static const struct option_row options[] = {
	OPTION_CHOICE("share", &share, shares, "how the threads share the port"),
	OPTION_INTEGER("threads", &threads, 1, MOST_THREADS, "threads", "how many wait"),
	OPTION_INTEGER("connections", &connections, 1, 1000000, "connections", "how many come, one after the other"),
	OPTIONS_END
};

struct server {
	pthread_t thread;
	pid_t tid;
	int listener, state;		/* state: /proc/self/task/TID/stat */
	int64_t accepted, empty;	/* accept4() with a connection, and with none (EAGAIN) */
	struct usage begin, used;
};

static struct server servers[MOST_THREADS];
static struct address port;
static int stop_fd;
static int64_t connected;
static pthread_barrier_t set_up, gone;

static void name_thread(const char *name)
{
	prctl(PR_SET_NAME, name, 0, 0, 0);
}

static void watch(int poll_set, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	if (epoll_ctl(poll_set, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl: %s", "Free memory: see `free -m`.", strerror(errno));
}

static struct usage thread_usage(void)
{
	struct rusage used;
	struct timespec cpu;

	if (getrusage(RUSAGE_THREAD, &used) || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu))
		die("getrusage: %s", "Report this: it cannot fail here.", strerror(errno));
	return (struct usage){ (int64_t)cpu.tv_sec * (int64_t)NS_PER_S + cpu.tv_nsec, used.ru_nvcsw, used.ru_nivcsw };
}

static void *serve(void *argument)
{
	struct server *self = argument;
	int poll_set = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;

	if (poll_set < 0)
		die("epoll_create1: %s", "Allow more open files: see `ulimit -n`.", strerror(errno));
	name_thread("server");
	self->tid = (pid_t)syscall(SYS_gettid);
	watch(poll_set, self->listener, share == EXCLUSIVE ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN);
	watch(poll_set, stop_fd, EPOLLIN);
	pthread_barrier_wait(&set_up);
	pthread_barrier_wait(&gone);	/* who watches is there now */
	self->begin = thread_usage();
	for (;;) {
		int count = epoll_wait(poll_set, &event, 1, -1), fd;

		if (count < 0)
			die("epoll_wait: %s", "Report this: it cannot fail here.", strerror(errno));
		if (event.data.fd == stop_fd)
			break;
		fd = accept4(self->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			self->accepted++;
			close(fd);	/* the client sees the end of the file: it was served */
		} else if (errno == EAGAIN) {
			self->empty++;	/* another thread was quicker */
		} else {
			die("accept4: %s", "Allow more open files: see `ulimit -n`.", strerror(errno));
		}
	}
	self->used = thread_usage();
	close(poll_set);
	return NULL;
}

/* The state is the letter after the name, which is in brackets: S is a thread that sleeps. */
static bool sleeps(const struct server *server)
{
	char text[128];
	ssize_t length = pread(server->state, text, sizeof(text) - 1, 0);
	const char *end;

	if (length <= 0)
		die("/proc/self/task/*/stat: %s", "Mount proc on /proc.", strerror(errno));
	text[length] = '\0';
	end = strrchr(text, ')');
	return end && end[2] == 'S';
}

static void wait_until_all_sleep(void)
{
	for (int64_t i = 0; i < threads && !workload_stopped; i++) {
		while (!sleeps(&servers[i]) && !workload_stopped)
			sched_yield();
	}
}

static void *connect_in_turn(void *unused)
{
	char byte;

	name_thread("client");
	for (; connected < connections && !workload_stopped; connected++) {
		int fd;

		wait_until_all_sleep();
		fd = connect_to(TRANSPORT_TCP, &port);
		if (read(fd, &byte, 1) != 0)
			die("read: the server has not closed the connection", "Report this, with the options.");
		close(fd);
	}
	wait_until_all_sleep();
	return unused;
}

/* One more socket that listens on the port; the first finds a free one. */
static int listen_too(bool is_first)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&port.storage;
	int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (is_first) {
		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		port.length = sizeof(*in);
	}
	if (fd < 0 || (share == REUSEPORT && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes))) ||
	    bind(fd, (struct sockaddr *)in, sizeof(*in)) || listen(fd, 128) ||
	    getsockname(fd, (struct sockaddr *)in, &port.length))
		die("a socket cannot listen: %s", "Allow more open files, and 127.0.0.1.", strerror(errno));
	return fd;
}

/* Only the main thread is interrupted by SIGTERM: no call of the others ends early. */
static void block_signals(bool block)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &signals, NULL);
}

static void start_servers(void)
{
	pthread_barrier_init(&set_up, NULL, (unsigned int)threads + 1);
	pthread_barrier_init(&gone, NULL, (unsigned int)threads + 1);
	for (int64_t i = 0; i < threads; i++) {
		servers[i].listener = i == 0 || share == REUSEPORT ? listen_too(i == 0) : servers[0].listener;
		if ((errno = pthread_create(&servers[i].thread, NULL, serve, &servers[i])))
			die("pthread_create: %s", "Allow more threads: see `ulimit -u`.", strerror(errno));
	}
	pthread_barrier_wait(&set_up);
	for (int64_t i = 0; i < threads; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", servers[i].tid);
		servers[i].state = open(path, O_RDONLY | O_CLOEXEC);
		if (servers[i].state < 0)
			die("%s: %s", "Mount proc on /proc.", path, strerror(errno));
	}
}

static void end_servers(void)
{
	uint64_t one = 1;

	if (write(stop_fd, &one, sizeof(one)) != sizeof(one))
		die("eventfd: %s", "Report this: it cannot fail here.", strerror(errno));
	for (int64_t i = 0; i < threads; i++)
		pthread_join(servers[i].thread, NULL);
}

static void report(void)
{
	struct usage used = { 0 };
	int64_t accepted = 0, empty = 0;

	for (int64_t i = 0; i < threads; i++) {
		accepted += servers[i].accepted;
		empty += servers[i].empty;
		used.cpu_ns += servers[i].used.cpu_ns - servers[i].begin.cpu_ns;
		used.voluntary_switches += servers[i].used.voluntary_switches - servers[i].begin.voluntary_switches;
		used.involuntary_switches += servers[i].used.involuntary_switches - servers[i].begin.involuntary_switches;
	}
	json_open(NULL, '{');
	json_text("share", shares[share]);
	json_integer("threads", threads);
	json_integer("connections", connected);
	json_integer("accepted", accepted);
	json_integer("empty_accepts", empty);
	json_usage("server", used);
	json_close('}');
}

int main(int argc, char **argv)
{
	pthread_t client;

	workload_begin(argc, argv, "Lets several threads wait for the connections of one port.", options);
	stop_fd = eventfd(0, EFD_CLOEXEC);
	if (stop_fd < 0)
		die("eventfd: %s", "Allow more open files: see `ulimit -n`.", strerror(errno));
	name_thread("main");
	block_signals(true);
	start_servers();
	block_signals(false);
	if (!workload_ready())
		return 0;
	block_signals(true);
	pthread_barrier_wait(&gone);
	if ((errno = pthread_create(&client, NULL, connect_in_turn, NULL)))
		die("pthread_create: %s", "Allow more threads: see `ulimit -u`.", strerror(errno));
	block_signals(false);
	pthread_join(client, NULL);
	end_servers();
	report();
	return workload_end();
}
