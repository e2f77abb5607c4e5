// SPDX-License-Identifier: Apache-2.0
/*
 * io_uring with requests that stay: one accept for all connections (multishot), one
 * receive for all that a connection brings, and buffers that the kernel chooses.
 * What is left to submit is the answers.
 *
 * Two variants: "registered" never gives the connections a number in the table of
 * open files, only a place in the ring's own table; "zerocopy" asks the kernel to
 * send from our memory, and to notify us when that memory is free again.
 */
#include "buffers.h"
#include "rings.h"

#ifndef IORING_NOTIF_USAGE_ZC_COPIED	/* Linux 6.2 */
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3)
#define IORING_NOTIF_USAGE_ZC_COPIED (1U << 31)
#endif

#define MOST_HELD 8	/* buffers of a connection that does not read its answers */

/* Echo: what has come and is not sent back yet. */
struct input {
	struct input *next;
	unsigned int buffer;
	size_t length;
};

static int accepting;
static bool reports_copies = true, has_places;
static struct connection *starved;	/* a list of those that wait until a buffer is given back */

static struct io_uring_sqe *socket_entry(enum request request, struct connection *connection, uint8_t opcode)
{
	struct io_uring_sqe *entry = ring_entry(request, connection, opcode, connection->fd);

	if (has_places)
		entry->flags |= IOSQE_FIXED_FILE;
	return entry;
}

/* One entry; it has results until the kernel leaves the flag IORING_CQE_F_MORE out. */
static void accept_all(void)
{
	struct io_uring_sqe *entry = ring_entry(ACCEPTED, NULL, IORING_OP_ACCEPT, accepting);

	entry->ioprio = IORING_ACCEPT_MULTISHOT;
	if (has_places)
		entry->file_index = IORING_FILE_INDEX_ALLOC;
	else
		entry->accept_flags = SOCK_CLOEXEC;
}

static void receive_all_that_comes(struct connection *connection)
{
	struct io_uring_sqe *entry = socket_entry(RECEIVED, connection, IORING_OP_RECV);

	entry->ioprio = IORING_RECV_MULTISHOT;
	entry->flags |= IOSQE_BUFFER_SELECT;
	entry->buf_group = BUFFER_GROUP;
	connection->receiving = true;
	connection->cancelled = false;
}

static void send_some(struct connection *connection, const char *bytes, size_t length)
{
	uint8_t opcode = set.way == ZEROCOPY ? IORING_OP_SEND_ZC : IORING_OP_SEND;
	struct io_uring_sqe *entry = socket_entry(SENT, connection, opcode);

	entry->addr = (uint64_t)(uintptr_t)bytes;
	entry->len = (uint32_t)length;
	entry->msg_flags = MSG_NOSIGNAL;
	if (set.way == ZEROCOPY && reports_copies)
		entry->ioprio = IORING_SEND_ZC_REPORT_USAGE;
	connection->sending = true;
}

/* ---- what a connection holds ---- */

static void hold(struct connection *connection, unsigned int buffer, size_t length)
{
	struct input *input = malloc(sizeof(*input)), **last = &connection->input;
	int held = 1;

	if (!input)
		die("malloc: %s", "Free memory: see `free -m`.", strerror(errno));
	*input = (struct input){ .buffer = buffer, .length = length };
	for (; *last; last = &(*last)->next)
		held++;
	*last = input;
	if (held >= MOST_HELD && connection->receiving && !connection->cancelled) {
		/* It sends and does not read: take no more of it until it does. */
		ring_entry(CANCELLED, NULL, IORING_OP_ASYNC_CANCEL, -1)->addr = user_data(RECEIVED, connection);
		connection->cancelled = true;
	}
}

static void release(struct connection *connection)
{
	struct input *input = connection->input;

	connection->input = input->next;
	buffer_return(input->buffer);
	free(input);
}

static bool all_sent(const struct connection *connection)
{
	return connection->out_sent == connection->out_bytes;
}

/* ---- one connection goes on ---- */

static void close_connection(struct connection *connection)
{
	struct io_uring_sqe *entry;

	while (connection->input)
		release(connection);
	connection->closed = true;
	entry = ring_entry(CLOSED, connection, IORING_OP_CLOSE, has_places ? 0 : connection->fd);
	if (has_places)
		entry->file_index = (uint32_t)connection->fd + 1;
}

/* After each result: send what there is; end what is over; receive again where the kernel has stopped. */
static void go_on(struct connection *connection)
{
	bool over = connection->ended || connection->broken || connection->closing;
	const char *bytes;
	size_t length;

	if (connection->sending || connection->closed)
		return;
	if (set.protocol == PROTOCOL_ECHO && connection->input && all_sent(connection) && !connection->broken)
		connection_take(connection, &total, buffer_at(connection->input->buffer), connection->input->length);
	length = connection->broken ? 0 : connection_chunk(connection, &bytes);
	if (length) {
		send_some(connection, bytes, length);
	} else if (over && connection->receiving && !connection->stopping) {
		connection->stopping = connection->shutting = true;
		socket_entry(SHUT, connection, IORING_OP_SHUTDOWN)->len = SHUT_RDWR;
	} else if (!over && !connection->receiving && !connection->starved) {
		receive_all_that_comes(connection);
	} else if (over && !connection->receiving && !connection->starved && !connection->shutting &&
		   !connection->notifications_due) {
		close_connection(connection);
	}
}

static void accepted(const struct result *result)
{
	if (!(result->flags & IORING_CQE_F_MORE))
		accept_all();
	if (result->res < 0 && is_gone(-result->res))
		return;
	if (result->res < 0)
		die("accept: %s", "Allow more open files (see `ulimit -n`).",
		    strerror(-result->res));
	total.accepted++;
	receive_all_that_comes(connection_open(result->res, false));
}

static void got_bytes(struct connection *connection, unsigned int buffer, size_t length)
{
	if (set.protocol == PROTOCOL_ECHO && !connection->broken) {
		hold(connection, buffer, length);
		return;
	}
	if (!connection->broken)
		connection_take(connection, &total, buffer_at(buffer), length);
	buffer_return(buffer);
}

static void received(struct connection *connection, const struct result *result)
{
	unsigned int buffer = result->flags >> IORING_CQE_BUFFER_SHIFT;

	connection->receiving = result->flags & IORING_CQE_F_MORE;
	if (result->flags & IORING_CQE_F_BUFFER)
		buffer_taken();
	if (result->res > 0) {
		got_bytes(connection, buffer, (size_t)result->res);
	} else if (result->res == 0 || is_gone(-result->res)) {
		total.resets += result->res < 0;
		connection->ended = true;
		connection->broken = result->res < 0;
	} else if (result->res == -ENOBUFS) {
		connection->starved = true;
		connection->next_starved = starved;
		starved = connection;
	} else if (result->res != -ECANCELED) {
		die("recv: %s", "Report this, with the options.", strerror(-result->res));
	}
	go_on(connection);
}

/* A zero-copy send has two results: how many bytes, and, later, that the memory is free again. */
static void sent(struct connection *connection, const struct result *result)
{
	/* What is sent back lies in a buffer, which must not be given away too early; an answer lies there forever. */
	bool must_wait = set.way == ZEROCOPY && set.protocol == PROTOCOL_ECHO;
	bool is_notification = result->flags & IORING_CQE_F_NOTIF;

	if (is_notification) {
		total.notifications++;
		total.copied_notifications += ((uint32_t)result->res & IORING_NOTIF_USAGE_ZC_COPIED) != 0;
		connection->notifications_due--;
	} else {
		if (result->res < 0 && !is_gone(-result->res))
			die("send: %s", "Report this, with the options.", strerror(-result->res));
		if (result->res > 0)
			connection_sent(connection, &total, (size_t)result->res);
		else
			connection->broken = true;
		connection->notifications_due += (result->flags & IORING_CQE_F_MORE) != 0;
	}
	if (is_notification == must_wait || (must_wait && !connection->notifications_due)) {
		connection->sending = false;
		if (connection->input && all_sent(connection))
			release(connection);
	}
	go_on(connection);
}

/*
 * A worker runs this request, and looks the descriptor up only then. If we closed
 * it earlier, the number might already belong to the next connection.
 */
static void shut_down(struct connection *connection)
{
	connection->shutting = false;
	go_on(connection);
}

static void feed_starved(void)
{
	while (starved && buffers_left()) {
		struct connection *connection = starved;

		starved = connection->next_starved;
		connection->starved = false;
		go_on(connection);
	}
}

static void handle(enum request request, struct connection *connection, const struct result *result)
{
	if (request == ACCEPTED)
		accepted(result);
	else if (request == RECEIVED)
		received(connection, result);
	else if (request == SENT)
		sent(connection, result);
	else if (request == CLOSED)
		connection_free(connection);
	else if (request == SHUT)
		shut_down(connection);
	/* a cancellation: the receive itself reports its result */
	feed_starved();
}

/* ---- what this kernel has ---- */

static void register_places(void)
{
	struct io_uring_rsrc_register places = { .flags = IORING_RSRC_REGISTER_SPARSE };
	struct rlimit limit;

	/* The kernel accepts ahead of us: some places are still taken by connections that we are about to close. */
	places.nr = 4 * MOST_CONNECTIONS;
	if (!getrlimit(RLIMIT_NOFILE, &limit) && places.nr > limit.rlim_cur)
		places.nr = (uint32_t)limit.rlim_cur;
	if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES2, &places, sizeof(places)))
		unable("this kernel's io_uring has no empty tables of descriptors (Linux 5.19 and later have): "
		       "use --way multishot");
}

static void try_receive(struct connection *server, int client)
{
	struct result first;

	receive_all_that_comes(server);
	send_all(client, "!", 1);
	first = ring_one_result();
	if (first.res != 1 || !(first.flags & IORING_CQE_F_MORE))
		unable("this kernel's io_uring has no receive that stays (Linux 6.0 and later have): use --way uring");
	buffer_taken();
	buffer_return(first.flags >> IORING_CQE_BUFFER_SHIFT);
}

static void try_zero_copy(struct connection *server)
{
	struct result result;

	send_some(server, "!", 1);
	result = ring_one_result();
	if (result.res == -EINVAL && reports_copies) {
		reports_copies = false;
		try_zero_copy(server);
		return;
	}
	if (result.res != 1)
		unable("this kernel's io_uring has no zero-copy send (Linux 6.0 and later have): use --way multishot");
	if (result.flags & IORING_CQE_F_MORE)
		ring_one_result();
}

static void multishot_open(void)
{
	struct connection server = { 0 };
	struct address address;
	int listener, client;

	if (set.way == ZEROCOPY && set.transport == TRANSPORT_UNIX)
		die("--way zerocopy is not supported for Unix sockets", "Use --transport tcp, or another --way.");
	ring_open();
	buffers_open();
	listener = listen_locally(TRANSPORT_TCP, 1, &address);
	client = connect_to(TRANSPORT_TCP, &address);
	server.fd = accept_one(listener);
	try_receive(&server, client);
	if (set.way == ZEROCOPY)
		try_zero_copy(&server);
	close(client);
	while (ring_one_result().flags & IORING_CQE_F_MORE)
		;
	close(server.fd);
	close(listener);
	if (set.way == REGISTERED) {
		register_places();
		has_places = true;
	}
}

static void multishot_run(int listener)
{
	accepting = listener;
	ring_watch_stop();
	accept_all();
	ring_run(handle);
}

const struct way multishot_way = { .open = multishot_open, .run = multishot_run };
