// SPDX-License-Identifier: Apache-2.0
/*
 * Lesson 09: how many bytes per second go to another process of this machine, and
 * whether each of them arrives, in order.
 *
 *	stream --go --transport tcp --message-bytes 64KiB --total-bytes 100000000
 *	stream --go --random-sizes --connections 64 --connection-bytes 100000 --check
 *
 * The sender sends one way. Every connection carries bytes of its own, known in
 * advance; with --check the receiver compares each. Every second connection ends
 * half closed: the sender has closed its direction, and the receiver answers
 * with the number of bytes that it got.
 */
#include <sys/epoll.h>

#include "local_sockets.h"

static int transport = TRANSPORT_TCP;
static int64_t message_bytes = 65536;
static bool random_sizes;
static int64_t total_bytes = 100000000;
static int64_t connections = 1;
static int64_t connection_bytes;
static int64_t sender_cpu = -1;
static int64_t receiver_cpu = -1;
static int64_t seed = 1;
static bool check;

static const struct option_row options[] = {
	OPTION_CHOICE("transport", &transport, transports, "kind of socket"),
	OPTION_BYTES("message-bytes", &message_bytes, 1, 1 << 20, "size of a message"),
	OPTION_FLAG("random-sizes", &random_sizes, "sizes from 1 to --message-bytes by chance"),
	OPTION_BYTES("total-bytes", &total_bytes, 1, 4ll << 30, "how much to send"),
	OPTION_INTEGER("connections", &connections, 1, 1024, "connections", "how many at a time"),
	OPTION_BYTES("connection-bytes", &connection_bytes, 0, 4ll << 30,
		     "how much over one connection, about, before it is closed and another opened; 0: no end"),
	OPTION_INTEGER("sender-cpu", &sender_cpu, -1, CPU_SETSIZE - 1, "CPU", "CPU of the sender; -1: as --cpu says"),
	OPTION_INTEGER("receiver-cpu", &receiver_cpu, -1, CPU_SETSIZE - 1, "CPU",
		       "CPU of the receiver; -1: as --cpu says"),
	OPTION_INTEGER("seed", &seed, 1, INT32_MAX, "", "of what is left to chance"),
	OPTION_FLAG("check", &check, "compare each byte with the one that was sent"),
	OPTIONS_END
};

/*
 * The bytes of connection N are this pattern over and over, from place N * STEP on. The length is a
 * prime: a message that is lost, doubled or overtaken shifts the rest, and the comparison sees it.
 */
#define PATTERN_BYTES 1048583
#define STEP 7919
static unsigned char pattern[2 * PATTERN_BYTES];	/* twice, so that a message never wraps round */

static uint64_t chance_state;

/* xorshift64*: the same numbers for the same seed, on every machine */
static uint64_t chance(void)
{
	chance_state ^= chance_state >> 12;
	chance_state ^= chance_state << 25;
	chance_state ^= chance_state >> 27;
	return chance_state * 0x2545F4914F6CDD1Dull;
}

static void fill_pattern(void)
{
	for (size_t i = 0; i < PATTERN_BYTES; i++)
		pattern[i] = pattern[i + PATTERN_BYTES] = (unsigned char)(chance() >> 32);
}

static const unsigned char *bytes_at(uint32_t number, int64_t offset)
{
	return pattern + ((uint64_t)number * STEP + (uint64_t)offset) % PATTERN_BYTES;
}

/* One connection, as either end keeps it. */
struct stream {
	int fd;
	uint32_t number;	/* the first four bytes that are sent; the payload follows */
	int64_t offset_bytes;	/* payload bytes so far */
	int64_t end;		/* sender: close it after this many */
};

static bool ends_half_closed(const struct stream *stream)
{
	return stream->number % 2;
}

/* What the receiver reports. */
struct receipt {
	int64_t bytes;
	int64_t opened_connections;
	int64_t wrong_bytes;	/* only with --check */
	int64_t first_wrong;	/* offset of the first, in its connection; -1: none */
	uint64_t end_ns;
	struct usage used;
};

/* ---- receiver --------------------------------------------------------------------------------- */

static void compare(struct receipt *receipt, const struct stream *stream, const unsigned char *got, int64_t length)
{
	const unsigned char *sent = bytes_at(stream->number, stream->offset_bytes);

	if (!memcmp(got, sent, (size_t)length))
		return;
	for (int64_t i = 0; i < length; i++) {
		if (got[i] == sent[i])
			continue;
		if (receipt->first_wrong < 0)
			receipt->first_wrong = stream->offset_bytes + i;
		receipt->wrong_bytes++;
	}
}

static void watch(int epoll, int fd, void *what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl: %s", "Free memory: see `free -m`.", strerror(errno));
}

static void open_stream(int epoll, int listener)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		die("calloc: %s", "Free memory: see `free -m`.", strerror(errno));
	stream->fd = accept_one(listener);
	/* The barrier: nothing is sent before both ends know that they are connected. */
	send_all(stream->fd, "!", 1);
	if (!receive_all(stream->fd, &stream->number, sizeof(stream->number)))
		die("a connection ended before its number came", "Look below for what the sender said.");
	watch(epoll, stream->fd, stream);
}

/* Returns false when the stream has ended. */
static bool read_stream(struct receipt *receipt, struct stream *stream, unsigned char *room, size_t size)
{
	ssize_t got = recv(stream->fd, room, size, 0);

	if (woken_for_nothing(got))
		return true;
	if (got > 0) {
		if (check)
			compare(receipt, stream, room, got);
		stream->offset_bytes += got;
		receipt->bytes += got;
		return true;
	}
	if (got == 0 && ends_half_closed(stream))	/* its direction is closed; ours is still open */
		send_all(stream->fd, &stream->offset_bytes, sizeof(stream->offset_bytes));
	close(stream->fd);
	free(stream);
	receipt->opened_connections++;
	return false;
}

/* Ends when the sender has closed its end of the pipe and all its connections. */
static void receive(pid_t sender, int listener, int pipe_end, struct receipt *receipt)
{
	struct epoll_event events[64];
	size_t size = message_bytes > 65536 ? (size_t)message_bytes : 65536;
	unsigned char *room = malloc(size);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct usage start = usage_now();
	bool sending = true;
	int64_t open = 0;

	workload_die_with_parent(sender);
	if (receiver_cpu >= 0)
		workload_pin((int)receiver_cpu, "--receiver-cpu");
	if (!room)
		die("malloc: %s", "Free memory: see `free -m`.", strerror(errno));
	if (epoll < 0)
		die("epoll_create1: %s", "Free memory: see `free -m`.", strerror(errno));
	watch(epoll, listener, &listener);
	watch(epoll, pipe_end, &pipe_end);
	receipt->first_wrong = -1;
	while (sending || open) {
		int count = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == &listener) {
				open_stream(epoll, listener);
				open++;
			} else if (events[i].data.ptr == &pipe_end) {
				epoll_ctl(epoll, EPOLL_CTL_DEL, pipe_end, NULL);
				sending = false;
			} else if (!read_stream(receipt, events[i].data.ptr, room, size)) {
				open--;
			}
		}
	}
	receipt->end_ns = now_ns();
	receipt->used = usage_since(start);
	close(epoll);
	free(room);
}

/* ---- sender ----------------------------------------------------------------------------------- */

struct sent {
	int64_t bytes;
	int64_t messages;	/* calls of send(), by both ends */
	uint32_t opened;
	uint64_t start_ns;
	struct usage used;
};

static void gone(void)
{
	die("the receiver is gone: %s", "Look below for what the receiver said.", strerror(errno));
}

static void open_connection(struct stream *stream, const struct address *address, struct sent *sent)
{
	char greeting;

	stream->fd = connect_to(transport, address);
	stream->number = sent->opened++;
	stream->offset_bytes = 0;
	stream->end = INT64_MAX;
	if (connection_bytes)	/* half as much to half as much again, so that they do not all end together */
		stream->end = connection_bytes / 2 + (int64_t)(chance() % (uint64_t)(connection_bytes + 1));
	set_no_delay(transport, stream->fd);
	if (!receive_all(stream->fd, &greeting, 1) ||
	    send_all(stream->fd, &stream->number, sizeof(stream->number)) < 0)
		gone();
	sent->messages += 2;
}

static void close_connection(struct stream *stream, struct sent *sent)
{
	int64_t answer;

	if (ends_half_closed(stream)) {
		sent->messages++;	/* the answer */
		if (shutdown(stream->fd, SHUT_WR) || !receive_all(stream->fd, &answer, sizeof(answer)))
			gone();
		if (answer != stream->offset_bytes)
			die("connection %u: %" PRId64 " bytes sent, %" PRId64 " arrived",
			    "Report this: bytes were lost.", stream->number, stream->offset_bytes, answer);
	}
	close(stream->fd);
}

static void send_message(struct stream *stream, struct sent *sent)
{
	int64_t length = random_sizes ? 1 + (int64_t)(chance() % (uint64_t)message_bytes) : message_bytes;
	int64_t sends;

	if (length > total_bytes - sent->bytes)
		length = total_bytes - sent->bytes;
	sends = send_all(stream->fd, bytes_at(stream->number, stream->offset_bytes), (size_t)length);
	if (sends < 0)
		gone();
	stream->offset_bytes += length;
	sent->bytes += length;
	sent->messages += sends;
}

static void send_streams(const struct address *address, struct sent *sent)
{
	struct stream *streams = calloc((size_t)connections, sizeof(*streams));
	struct usage start = usage_now();

	if (!streams)
		die("calloc: %s", "Free memory: see `free -m`.", strerror(errno));
	for (int64_t i = 0; i < connections; i++)
		open_connection(&streams[i], address, sent);

	sent->start_ns = now_ns();
	while (sent->bytes < total_bytes && !workload_stopped) {
		struct stream *stream = &streams[connections > 1 ? chance() % (uint64_t)connections : 0];

		if (stream->offset_bytes >= stream->end) {
			close_connection(stream, sent);
			open_connection(stream, address, sent);
		}
		send_message(stream, sent);
	}
	for (int64_t i = 0; i < connections; i++)
		close_connection(&streams[i], sent);
	sent->used = usage_since(start);
	free(streams);
}

int main(int argc, char **argv)
{
	struct receipt *receipt;
	struct sent sent = { 0 };
	struct address address;
	int listener, ends[2], status;
	pid_t sender = getpid(), receiver;

	workload_begin(argc, argv, "Streams bytes to another process of this machine.", options);
	chance_state = (uint64_t)seed;
	fill_pattern();
	receipt = shared_memory(sizeof(*receipt));
	if (!workload_ready())
		return 0;

	listener = listen_locally(transport, (int)connections, &address);
	if (pipe2(ends, O_CLOEXEC))
		die("pipe: %s", "Allow more open files: see `ulimit -n`.", strerror(errno));
	receiver = fork();
	if (receiver < 0)
		die("fork: %s", "Look at `ulimit -u` and `free -m`.", strerror(errno));
	if (receiver == 0) {
		close(ends[1]);
		receive(sender, listener, ends[0], receipt);
		_exit(0);
	}
	close(listener);
	close(ends[0]);
	if (sender_cpu >= 0)
		workload_pin((int)sender_cpu, "--sender-cpu");
	send_streams(&address, &sent);
	close(ends[1]);
	while (waitpid(receiver, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		gone();
	if (receipt->bytes != sent.bytes)
		die("%" PRId64 " bytes were sent, %" PRId64 " arrived", "Report this: bytes were lost.", sent.bytes,
		    receipt->bytes);

	json_open(NULL, '{');
	json_text("transport", transports[transport]);
	json_integer("message_bytes", message_bytes);
	json_integer("connections", connections);
	json_integer("opened_connections", receipt->opened_connections);
	json_integer("sent_bytes", sent.bytes);
	json_integer("received_bytes", receipt->bytes);
	json_integer("messages", sent.messages);
	json_integer("wrong_bytes", receipt->wrong_bytes);
	json_integer("first_wrong", receipt->first_wrong);
	json_real("elapsed_s", (double)(receipt->end_ns - sent.start_ns) / 1e9);
	json_usage("sender", sent.used);
	json_usage("receiver", receipt->used);
	json_close('}');
	return workload_end();
}
