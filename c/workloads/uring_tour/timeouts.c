// SPDX-License-Identifier: Apache-2.0
/* Timeouts: results come in the order of time, not of submission. And a read with a time limit. */
#include <fcntl.h>

#include "tour.h"

#ifdef HAVE_LIBURING
static struct __kernel_timespec span_of(int64_t microseconds)
{
	return (struct __kernel_timespec){ microseconds / 1000000, microseconds % 1000000 * 1000 };
}

/* The next result, or NULL when a signal says stop. */
static struct io_uring_cqe *next_result(void)
{
	struct io_uring_cqe *cqe = NULL;

	while (!workload_stopped) {
		enter_calls += io_uring_cq_ready(&ring) == 0;
		if (!io_uring_wait_cqe(&ring, &cqe))
			return cqe;
	}
	return NULL;
}

static struct {
	int64_t asked_ns, took_ns;
	int error;
} rung[MAX_BATCH];
static int64_t rung_count;
static int given_up[2] = { 0, 0 };	/* how the read and its time limit ended: an errno */

static void ring_the_clocks(void)
{
	static struct __kernel_timespec spans[MAX_BATCH];
	struct io_uring_cqe *cqe;

	for (int64_t i = ios; i > 0; i--) {	/* the longest first */
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		spans[i - 1] = span_of(i * step_us);
		io_uring_prep_timeout(sqe, &spans[i - 1], 0, 0);
		sqe->user_data = (uint64_t)i;
	}
	start_ns = now_ns();
	io_uring_submit(&ring);
	enter_calls++;
	while (rung_count < ios && (cqe = next_result())) {
		rung[rung_count].asked_ns = (int64_t)cqe->user_data * step_us * 1000;
		rung[rung_count].took_ns = (int64_t)(now_ns() - start_ns);
		rung[rung_count++].error = -cqe->res;
		io_uring_cqe_seen(&ring, cqe);
	}
}

/* Nobody ever writes into this pipe. The read has a time limit linked to it. */
static void give_up_a_read(void)
{
	struct __kernel_timespec span = span_of(step_us);
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	char byte;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		die("pipe: %s", "Raise `ulimit -n`.", strerror(errno));
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_read(sqe, ends[0], &byte, 1, 0);
	sqe->flags |= IOSQE_IO_LINK;
	sqe->user_data = 0;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_link_timeout(sqe, &span, 0);
	sqe->user_data = 1;
	io_uring_submit(&ring);
	enter_calls++;
	for (int i = 0; i < 2 && (cqe = next_result()); i++) {
		given_up[cqe->user_data] = cqe->res < 0 ? -cqe->res : 0;
		io_uring_cqe_seen(&ring, cqe);
	}
}

static int64_t ring_and_give_up(void)
{
	ring_the_clocks();
	give_up_a_read();
	return rung_count;
}

static void report_clocks(int64_t done)
{
	json_open("timeouts", '[');
	for (int64_t i = 0; i < done; i++) {
		json_open(NULL, '{');
		json_integer("asked_ns", rung[i].asked_ns);
		json_integer("took_ns", rung[i].took_ns);
		json_text("result", strerror(rung[i].error));
		json_close('}');
	}
	json_close(']');
	json_open("given_up", '{');
	json_text("read", strerror(given_up[0]));
	json_text("timeout", strerror(given_up[1]));
	json_close('}');
}

static void open_timeouts(void)
{
	if (ios > MAX_BATCH)
		die("--ios cannot be \"%" PRId64 "\"", "Allowed with --stop timeouts: 1 to 256.", ios);
	open_ring(MAX_BATCH);
}

const struct stop timeouts_stop = { .open_ring = open_timeouts, .uring = ring_and_give_up, .report = report_clocks };
#endif
