// SPDX-License-Identifier: Apache-2.0
/* A message there and back, through as many pairs of sockets as --batch says. */
#include <sys/socket.h>

#include "tour.h"

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

static void open_ring_of_echoes(void)
{
	open_ring((unsigned int)batch * 4);
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

static void make_pairs(void)
{
	for (int64_t i = 0; i < batch; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[i]))
			die("socketpair: %s", "Raise `ulimit -n` or lower --batch.", strerror(errno));
	}
}

static void report_echoes(int64_t done)
{
	(void)done;
	json_integer("message_bytes", message_bytes);
}

static void report_plain_calls(int64_t done)
{
	json_integer("sendto", 2 * done);
	json_integer("recvfrom", 2 * done);
}

const struct stop echo_stop = {
	.prepare = make_pairs,
	.plain = plain_echoes,
	.report = report_echoes,
	.report_plain_calls = report_plain_calls,
#ifdef HAVE_LIBURING
	.open_ring = open_ring_of_echoes,
	.uring = ring_echoes,
#endif
};
