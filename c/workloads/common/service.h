/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server of lesson 11 and its clients agree on: two protocols, and one
 * fixed answer that a client can compare byte by byte.
 *
 *	echo	whatever arrives is sent back; a message has --message-bytes bytes
 *	http	enough of HTTP/1.1: a GET without a body, an answer with a body of
 *		--message-bytes bytes, and the connection stays open
 */
#ifndef SERVICE_H
#define SERVICE_H

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { PROTOCOL_ECHO, PROTOCOL_HTTP };
static const char *const protocols[] = { "echo", "http", NULL };

#define MOST_MESSAGE_BYTES	65536
#define MOST_HEAD_BYTES		8192	/* of a request: no more is read */
#define MOST_ANSWER_BYTES	(MOST_MESSAGE_BYTES + 256)

static const char http_request[] = "GET / HTTP/1.1\r\nHost: lab\r\n\r\n";

/* Writes the answer to a GET into `room` (MOST_ANSWER_BYTES) and returns its length. */
static inline size_t http_answer(char *room, size_t body_bytes)
{
	int head = snprintf(room, 256,
			    "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %zu\r\n\r\n",
			    body_bytes);

	for (size_t i = 0; i < body_bytes; i++)
		room[(size_t)head + i] = (char)(i * 31 + (i >> 8));
	return (size_t)head + body_bytes;
}

#endif
