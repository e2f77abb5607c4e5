/* SPDX-License-Identifier: Apache-2.0 */
/* What the ways by io_uring share: one ring, and what its results are about. */
#ifndef RINGS_H
#define RINGS_H

#include "../uring_raw.h"
#include "serve.h"

extern struct raw_ring ring;

/* What a request was for. It is kept in the lowest bits of user_data, above them lies the connection. */
enum request { ACCEPTED, RECEIVED, SENT, CLOSED, STOPPED, CANCELLED, SHUT, REQUESTS };

static inline uint64_t user_data(enum request request, const void *connection)
{
	return (uint64_t)(uintptr_t)connection | request;
}

/* What a completion says. */
struct result {
	uint64_t user_data;
	int32_t res;
	uint32_t flags;
};

/* Makes the ring, with the newest flags that this kernel takes. Ends the program where it refuses them all. */
void ring_open(void);

/* The next entry, for this purpose; makes room with a system call if all are taken. */
struct io_uring_sqe *ring_entry(enum request request, const void *connection, uint8_t opcode, int fd);

/* Submits, waits for one result and returns it: for what is tried before "ready". */
struct result ring_one_result(void);

/* Asks the kernel to report when stop_fd is readable. */
void ring_watch_stop(void);

/*
 * Submits all entries and waits for a result, with one call. Then calls `handle`
 * for each result, until the request STOPPED has one.
 */
void ring_run(void (*handle)(enum request request, struct connection *connection, const struct result *result));

#endif
