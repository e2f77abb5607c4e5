/* SPDX-License-Identifier: Apache-2.0 */
/* The clients of lesson 11: what was asked for, and what was found out. */
#ifndef LOAD_H
#define LOAD_H

#include "local_sockets.h"
#include "service.h"

struct settings {
	const char *address;
	int protocol;
	int64_t message_bytes;
	int64_t connections;
	int64_t slow;
	int64_t requests;
	double seconds;
	double rate;
	int64_t requests_per_connection;
	int64_t visits_every;
	int64_t seed;
};

extern struct settings set;
extern int transport;
extern struct address server;

struct tally {
	int64_t asked, answered;	/* requests that were sent as a whole; answers that were compared */
	int64_t offered;		/* open loop: requests that were due */
	int64_t never_asked;		/* open loop: due, but no connection was free until the end */
	int64_t wrong_bytes;
	int64_t opened_connections;		/* connections, without the visits */
	int64_t visits, reset_visits;	/* by clients that do not behave; those that may have been answered */
	uint64_t elapsed_ns;
	struct histogram latency;	/* from the time at which a request was due */
	struct histogram service;	/* from the time at which it was sent */
};

extern struct tally tally;

/* ---- messages.c ---- */

void messages_open(void);

/* What request `number` of a connection sends, and what it must get. */
const char *request_bytes(uint32_t connection, uint64_t number, size_t *length);
const char *answer_bytes(uint32_t connection, uint64_t number, size_t *length);

/* How many of the bytes are not those that were due. */
int64_t differences(const char *got, const char *due, size_t length);

/* xorshift64*: the same numbers for the same seed, on every machine */
uint64_t chance(void);

/* ---- visits.c ---- */

/* A client that does not behave comes, and mostly goes. */
void visit(void);
void end_visits(void);

/* ---- clients.c ---- */

void run_clients(void);

#endif
