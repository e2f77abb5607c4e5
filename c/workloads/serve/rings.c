// SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include "rings.h"
#include "uring_refused.h"

#define ENTRIES 4096	/* of the submission ring; the completion ring has twice as many */

struct raw_ring ring;

void ring_open(void)
{
	/* 6.1 has both: what a request has to do in our context waits until we come in anyway */
	static const uint32_t newest_first[] = { IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
						 IORING_SETUP_COOP_TASKRUN, 0 };
	int error = -EINVAL;

	for (size_t i = 0; i < sizeof(newest_first) / sizeof(newest_first[0]) && error == -EINVAL; i++)
		error = raw_queue_init(ENTRIES, &ring, newest_first[i]);
	if (error)
		uring_refused(-error, "");
}

/* Submits what was filled in. The kernel may take fewer: what is between head and tail is still to be taken. */
static void enter(uint32_t wait)
{
	uint32_t waiting;
	int result;

	raw_publish(&ring);
	waiting = ring.filled_tail - atomic_load_explicit(ring.sq_head, memory_order_acquire);
	result = raw_enter(&ring, waiting, wait, IORING_ENTER_GETEVENTS);
	if (result > 0)
		total.entries += result;
	count_call(&total, IO_URING_ENTER);
	/* EBUSY, EAGAIN: there are results to look at first; EINTR: somebody stopped and continued us */
	if (result < 0 && result != -EBUSY && result != -EAGAIN && result != -EINTR)
		die("io_uring_enter: %s", "Look at `dmesg`.", strerror(-result));
}

struct io_uring_sqe *ring_entry(enum request request, const void *connection, uint8_t opcode, int fd)
{
	struct io_uring_sqe *entry;

	while (!(entry = raw_get_sqe(&ring)))
		enter(0);
	entry->opcode = opcode;
	entry->fd = fd;
	entry->user_data = user_data(request, connection);
	return entry;
}

struct result ring_one_result(void)
{
	struct io_uring_cqe *cqe;
	struct result result;

	while (!(cqe = raw_peek_cqe(&ring)))
		enter(1);
	result = (struct result){ cqe->user_data, cqe->res, cqe->flags };
	raw_cqe_seen(&ring);
	return result;
}

void ring_watch_stop(void)
{
	ring_entry(STOPPED, NULL, IORING_OP_POLL_ADD, stop_fd)->poll32_events = POLLIN;
}

void ring_run(void (*handle)(enum request request, struct connection *connection, const struct result *result))
{
	bool stopped = false;

	while (!stopped) {
		enter(1);
		while (raw_peek_cqe(&ring)) {
			struct result result = ring_one_result();
			enum request request = result.user_data % 8;

			if (request == STOPPED)
				stopped = true;
			else
				handle(request, (struct connection *)(uintptr_t)(result.user_data - request), &result);
		}
	}
	raw_queue_exit(&ring);
}
