/* SPDX-License-Identifier: Apache-2.0 */
/* What the ways to serve share: the settings, a connection, what was counted. */
#ifndef SERVE_H
#define SERVE_H

#include "local_sockets.h"
#include "service.h"

#define MOST_CONNECTIONS 1100	/* at a time */

enum { THREADS, EPOLL, URING, MULTISHOT, REGISTERED, ZEROCOPY };

struct settings {
	int way;
	int transport;
	int protocol;
	int64_t message_bytes;
	double seconds;
};

extern struct settings set;

/* System calls, as the program counts them: the kernel's names, in this order, are in tally.c. */
enum call { ACCEPT4, RECVFROM, SENDTO, EPOLL_WAIT, EPOLL_CTL, IO_URING_ENTER, CLOSE, CALLS };

struct tally {
	int64_t requests;		/* complete ones that were answered, or are being answered */
	int64_t refused_requests;	/* what is no GET */
	int64_t received_bytes, sent_bytes;
	int64_t accepted, resets;	/* connections; those that the client has reset */
	int64_t entries;		/* io_uring: requests that were submitted */
	int64_t notifications, copied_notifications;	/* zero-copy sends; those that the kernel has copied after all */
	int64_t calls[CALLS];
};

/*
 * One connection. The protocol consumes what arrives (connection_take) and leaves
 * bytes to send (connection_chunk, connection_sent). Half-way states of both are
 * kept here, so a request may arrive, and an answer may leave, byte by byte.
 */
struct connection {
	int fd;				/* or, with registered descriptors, an index */
	struct connection *next, *before;
	/* http */
	uint32_t head_bytes;		/* of the request that is arriving */
	uint32_t matched;		/* how much of the empty line that ends it */
	bool closing, refused;		/* answer what came before, then say no, then close */
	/* echo */
	int64_t taken_bytes;
	const char *echo;		/* what is to be sent back */
	/* both */
	uint64_t out_bytes, out_sent;	/* to send, and sent of it */
	/* io_uring with requests that stay: see multishot.c */
	struct input *input;
	int32_t notifications_due;	/* of zero-copy sends */
	bool receiving, sending;	/* a receive, a send is in the ring */
	bool cancelled, stopping;	/* the receive is to end: for a while, for good */
	bool shutting;			/* a shutdown is in the ring */
	bool starved;			/* it waits for a buffer */
	struct connection *next_starved;
	bool ended, broken;		/* no more will come; nothing can be sent */
	bool closed;
	/* where input lies until it is sent back; of the size input_bytes() */
	char *room;
};

/* A way to serve. */
struct way {
	void (*open)(void);		/* before "ready": refuses what this machine lacks */
	void (*run)(int listener);	/* until stop_fd is readable */
};

extern const struct way threads_way, epoll_way, uring_way, multishot_way;

/* Becomes readable on SIGTERM, on SIGINT, and when the time is over. */
extern int stop_fd;

/* ---- connections.c ---- */

struct connection *connection_open(int fd, bool with_room);
void connection_free(struct connection *connection);

/* The connections that are open. Threads hold the lock while they look. */
extern struct connection *open_connections;
void lock_connections(void);
void unlock_connections(void);

/* How much to receive at once. */
size_t input_bytes(void);

/* ---- protocol.c ---- */

void protocol_open(void);

/* Consumes what has arrived. For echo, `bytes` must stay until all of it is sent. */
void connection_take(struct connection *connection, struct tally *tally, const char *bytes, size_t length);

/* The next bytes to send, and how many; 0: none. */
size_t connection_chunk(const struct connection *connection, const char **bytes);
void connection_sent(struct connection *connection, struct tally *tally, size_t length);

/* ---- tally.c ---- */

/* What the main thread counts; the others add theirs to it. */
extern struct tally total;
void tally_add(struct tally *into, const struct tally *more);
void report(const struct usage *used, uint64_t elapsed_ns);

static inline void count_call(struct tally *tally, enum call call)
{
	tally->calls[call]++;
}

/* A result of recv() or send() after which the connection is of no more use, but the server is. */
static inline bool is_gone(int error)
{
	return error == ECONNRESET || error == EPIPE || error == ETIMEDOUT || error == ECONNABORTED;
}

#endif
