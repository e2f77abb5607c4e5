// SPDX-License-Identifier: Apache-2.0
/*
 * One thread, and epoll: the kernel reports which connections have something, the
 * program asks for it with a call each. Level-triggered: what is not read yet is
 * reported again.
 */
#include <sys/epoll.h>

#include "serve.h"

#define MOST_EVENTS 256

static int poll_set;

static void want(int how, int fd, uint32_t events, void *what)
{
	struct epoll_event event = { .events = events, .data.ptr = what };

	count_call(&total, EPOLL_CTL);
	if (epoll_ctl(poll_set, how, fd, &event))
		die("epoll_ctl: %s", "Free memory: see `free -m`.", strerror(errno));
}

static void epoll_open(void)
{
	poll_set = epoll_create1(EPOLL_CLOEXEC);
	if (poll_set < 0)
		die("epoll_create1: %s", "Allow more open files: see `ulimit -n`.", strerror(errno));
}

static void accept_next(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	count_call(&total, ACCEPT4);
	if (fd < 0 && (errno == EAGAIN || is_gone(errno)))
		return;		/* it came, and has gone again */
	if (fd < 0)
		die("accept4: %s", "Allow more open files: see `ulimit -n`.", strerror(errno));
	total.accepted++;
	want(EPOLL_CTL_ADD, fd, EPOLLIN, connection_open(fd, true));
}

static void end_connection(struct connection *connection)
{
	close(connection->fd);	/* takes it out of the set, too */
	count_call(&total, CLOSE);
	connection_free(connection);
}

/* Sends until nothing is left, or no more is taken: then we wait for room, and read nothing meanwhile. */
static void answer(struct connection *connection, bool was_full)
{
	const char *bytes;
	size_t length;

	while ((length = connection_chunk(connection, &bytes))) {
		ssize_t sent = send(connection->fd, bytes, length, MSG_NOSIGNAL);

		count_call(&total, SENDTO);
		if (sent < 0 && errno == EAGAIN) {
			if (!was_full)
				want(EPOLL_CTL_MOD, connection->fd, EPOLLOUT, connection);
			return;
		}
		if (sent < 0 && !is_gone(errno))
			die("send: %s", "Report this, with the options.", strerror(errno));
		if (sent < 0) {
			total.resets++;
			end_connection(connection);
			return;
		}
		connection_sent(connection, &total, (size_t)sent);
	}
	if (connection->closing)
		end_connection(connection);
	else if (was_full)
		want(EPOLL_CTL_MOD, connection->fd, EPOLLIN, connection);
}

static void read_next(struct connection *connection)
{
	ssize_t got = recv(connection->fd, connection->room, input_bytes(), 0);

	count_call(&total, RECVFROM);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got < 0 && !is_gone(errno))
		die("recv: %s", "Report this, with the options.", strerror(errno));
	total.resets += got < 0;
	if (got <= 0) {
		end_connection(connection);
		return;
	}
	connection_take(connection, &total, connection->room, (size_t)got);
	answer(connection, false);
}

static void go_on(struct connection *connection)
{
	const char *bytes;

	if (connection_chunk(connection, &bytes))
		answer(connection, true);
	else
		read_next(connection);
}

static void epoll_run(int listener)
{
	struct epoll_event events[MOST_EVENTS];
	bool stopped = false;

	/* Another process may be quicker to accept: then our accept4() must not sleep. */
	if (fcntl(listener, F_SETFL, O_NONBLOCK))
		die("fcntl: %s", "Report this: it cannot fail here.", strerror(errno));
	want(EPOLL_CTL_ADD, listener, EPOLLIN, &listener);
	want(EPOLL_CTL_ADD, stop_fd, EPOLLIN, &stop_fd);
	while (!stopped) {
		int count = epoll_wait(poll_set, events, MOST_EVENTS, -1);

		count_call(&total, EPOLL_WAIT);
		if (count < 0)
			die("epoll_wait: %s", "Report this: it cannot fail here.", strerror(errno));
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == &listener)
				accept_next(listener);
			else if (events[i].data.ptr == &stop_fd)
				stopped = true;
			else
				go_on(events[i].data.ptr);
		}
	}
}

const struct way epoll_way = { .open = epoll_open, .run = epoll_run };
