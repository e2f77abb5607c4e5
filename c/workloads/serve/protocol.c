// SPDX-License-Identifier: Apache-2.0
/* The two protocols, without any I/O: the same for all ways. */
#include "serve.h"

static const char refusal[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/* As many copies of the answer as fit: several requests that came together are answered by one send. */
static char answers[2 * MOST_ANSWER_BYTES];
static size_t answer_bytes, copies;

void protocol_open(void)
{
	if (set.protocol != PROTOCOL_HTTP)
		return;
	answer_bytes = http_answer(answers, (size_t)set.message_bytes);
	for (copies = 1; (copies + 1) * answer_bytes <= sizeof(answers) && copies < 32; copies++)
		memcpy(answers + copies * answer_bytes, answers, answer_bytes);
}

static void refuse(struct connection *connection, struct tally *tally)
{
	tally->refused_requests++;
	connection->closing = true;
}

/* A request ends at its empty line. A byte that cannot be right ends the conversation. */
static void take_http(struct connection *connection, struct tally *tally, const char *bytes, size_t length)
{
	static const char begin[] = "GET ", end[] = "\r\n\r\n";

	for (size_t i = 0; i < length && !connection->closing; i++) {
		if ((connection->head_bytes < 4 && bytes[i] != begin[connection->head_bytes]) ||
		    connection->head_bytes == MOST_HEAD_BYTES) {
			refuse(connection, tally);
			return;
		}
		connection->head_bytes++;
		if (bytes[i] == end[connection->matched])
			connection->matched++;
		else
			connection->matched = bytes[i] == '\r';
		if (connection->matched == 4) {
			connection->head_bytes = connection->matched = 0;
			connection->out_bytes += answer_bytes;
			tally->requests++;
		}
	}
}

static void take_echo(struct connection *connection, struct tally *tally, const char *bytes, size_t length)
{
	int64_t before = connection->taken_bytes / set.message_bytes;

	connection->taken_bytes += (int64_t)length;
	tally->requests += connection->taken_bytes / set.message_bytes - before;
	connection->echo = bytes;
	connection->out_bytes = length;
	connection->out_sent = 0;
}

void connection_take(struct connection *connection, struct tally *tally, const char *bytes, size_t length)
{
	tally->received_bytes += (int64_t)length;
	if (set.protocol == PROTOCOL_HTTP)
		take_http(connection, tally, bytes, length);
	else
		take_echo(connection, tally, bytes, length);
}

size_t connection_chunk(const struct connection *connection, const char **bytes)
{
	uint64_t left = connection->out_bytes - connection->out_sent, room;

	if (set.protocol == PROTOCOL_ECHO) {
		*bytes = connection->echo + connection->out_sent;
		return left;
	}
	if (left == 0 && connection->closing && !connection->refused) {	/* its last words */
		*bytes = refusal;
		return sizeof(refusal) - 1;
	}
	*bytes = answers + connection->out_sent % answer_bytes;
	room = copies * answer_bytes - connection->out_sent % answer_bytes;
	return left < room ? left : room;
}

void connection_sent(struct connection *connection, struct tally *tally, size_t length)
{
	tally->sent_bytes += (int64_t)length;
	if (set.protocol == PROTOCOL_HTTP && connection->out_sent == connection->out_bytes)
		connection->refused = true;	/* the refusal has been sent: a short one, so as a whole or not at all */
	else
		connection->out_sent += length;
}
