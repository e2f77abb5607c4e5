// SPDX-License-Identifier: Apache-2.0
/*
 * A thread for each connection: the simplest server. recv() and send() sleep until
 * they can go on, and meanwhile other threads run.
 */
#include <poll.h>
#include <pthread.h>

#include "serve.h"

#define STACK_BYTES (64 << 10)	/* or the least that the C library allows: 128 KiB on 64-bit ARM */

static pthread_attr_t small_stack;
static int64_t running;
static pthread_mutex_t running_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t one_less = PTHREAD_COND_INITIALIZER;

static void threads_open(void)
{
	long least = sysconf(_SC_THREAD_STACK_MIN);

	pthread_attr_init(&small_stack);
	pthread_attr_setdetachstate(&small_stack, PTHREAD_CREATE_DETACHED);
	if ((errno = pthread_attr_setstacksize(&small_stack, least > STACK_BYTES ? (size_t)least : STACK_BYTES)))
		die("pthread_attr_setstacksize: %s", "Report this, with the machine's architecture.", strerror(errno));
}

/* False when the client has gone. */
static bool send_out(struct connection *connection, struct tally *tally)
{
	const char *bytes;
	size_t length;

	while ((length = connection_chunk(connection, &bytes))) {
		ssize_t sent = send(connection->fd, bytes, length, MSG_NOSIGNAL);

		count_call(tally, SENDTO);
		if (sent < 0 && !is_gone(errno))
			die("send: %s", "Report this, with the options.", strerror(errno));
		if (sent < 0)
			return false;
		connection_sent(connection, tally, (size_t)sent);
	}
	return !connection->closing;
}

static void *serve_one(void *argument)
{
	struct connection *connection = argument;
	struct tally tally = { 0 };
	bool open = true;

	while (open) {
		ssize_t got = recv(connection->fd, connection->room, input_bytes(), 0);

		count_call(&tally, RECVFROM);
		if (got < 0 && !is_gone(errno))
			die("recv: %s", "Report this, with the options.", strerror(errno));
		tally.resets += got < 0;
		if (got <= 0)
			break;
		connection_take(connection, &tally, connection->room, (size_t)got);
		open = send_out(connection, &tally);
	}
	close(connection->fd);
	count_call(&tally, CLOSE);
	connection_free(connection);

	pthread_mutex_lock(&running_lock);
	tally_add(&total, &tally);
	running--;
	pthread_cond_signal(&one_less);
	pthread_mutex_unlock(&running_lock);
	return NULL;
}

static void start_thread(int fd)
{
	struct connection *connection = connection_open(fd, true);
	pthread_t thread;
	int error;

	pthread_mutex_lock(&running_lock);
	running++;
	total.accepted++;
	pthread_mutex_unlock(&running_lock);
	error = pthread_create(&thread, &small_stack, serve_one, connection);
	if (error)
		die("pthread_create: %s", "Allow more threads: see `ulimit -u`, or use fewer connections.",
		    strerror(error));
}

/* Wakes every thread that sleeps in recv() or send(), and waits until all have counted. */
static void end_threads(void)
{
	lock_connections();
	for (struct connection *each = open_connections; each; each = each->next)
		shutdown(each->fd, SHUT_RDWR);
	unlock_connections();
	pthread_mutex_lock(&running_lock);
	while (running)
		pthread_cond_wait(&one_less, &running_lock);
	pthread_mutex_unlock(&running_lock);
}

static void threads_run(int listener)
{
	struct pollfd wanted[] = { { .fd = listener, .events = POLLIN }, { .fd = stop_fd, .events = POLLIN } };

	for (;;) {
		if (poll(wanted, 2, -1) < 0)
			die("poll: %s", "Free memory: see `free -m`.", strerror(errno));
		if (wanted[1].revents)
			break;
		start_thread(accept_one(listener));
		pthread_mutex_lock(&running_lock);
		count_call(&total, ACCEPT4);
		pthread_mutex_unlock(&running_lock);
	}
	end_threads();
}

const struct way threads_way = { .open = threads_open, .run = threads_run };
