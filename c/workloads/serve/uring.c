// SPDX-License-Identifier: Apache-2.0
/*
 * io_uring, one request at a time: each connection has either a receive or a send
 * in the ring, never both. All entries that have gathered go with one call.
 */
#include "rings.h"

static int accepting;

static void accept_next(void)
{
	ring_entry(ACCEPTED, NULL, IORING_OP_ACCEPT, accepting)->accept_flags = SOCK_CLOEXEC;
}

static void receive_next(struct connection *connection)
{
	struct io_uring_sqe *entry = ring_entry(RECEIVED, connection, IORING_OP_RECV, connection->fd);

	entry->addr = (uint64_t)(uintptr_t)connection->room;
	entry->len = (uint32_t)input_bytes();
}

static void close_connection(struct connection *connection)
{
	ring_entry(CLOSED, connection, IORING_OP_CLOSE, connection->fd);
}

static void send_next(struct connection *connection)
{
	const char *bytes;
	size_t length = connection_chunk(connection, &bytes);
	struct io_uring_sqe *entry;

	if (length == 0 && connection->closing) {
		close_connection(connection);
	} else if (length == 0) {
		receive_next(connection);
	} else {
		entry = ring_entry(SENT, connection, IORING_OP_SEND, connection->fd);
		entry->addr = (uint64_t)(uintptr_t)bytes;
		entry->len = (uint32_t)length;
		entry->msg_flags = MSG_NOSIGNAL;
	}
}

static void accepted(int fd)
{
	accept_next();
	if (fd < 0 && is_gone(-fd))
		return;
	if (fd < 0)
		die("accept: %s", "Allow more open files: see `ulimit -n`.", strerror(-fd));
	total.accepted++;
	receive_next(connection_open(fd, true));
}

static void handle(enum request request, struct connection *connection, const struct result *result)
{
	if (request == ACCEPTED) {
		accepted(result->res);
	} else if (request == CLOSED) {
		connection_free(connection);
	} else if (result->res < 0 && !is_gone(-result->res)) {
		die("%s: %s", "Report this, with the options.", request == SENT ? "send" : "recv",
		    strerror(-result->res));
	} else if (result->res <= 0) {
		total.resets += result->res < 0;
		close_connection(connection);
	} else if (request == RECEIVED) {
		connection_take(connection, &total, connection->room, (size_t)result->res);
		send_next(connection);
	} else {
		connection_sent(connection, &total, (size_t)result->res);
		send_next(connection);
	}
}

static void uring_run(int listener)
{
	accepting = listener;
	ring_watch_stop();
	accept_next();
	ring_run(handle);
}

const struct way uring_way = { .open = ring_open, .run = uring_run };
