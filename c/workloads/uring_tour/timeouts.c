// SPDX-License-Identifier: Apache-2.0
/* Timeouts: results come in the order of time, not of submission. And a read that is given up. */
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

	json_open("timeouts", '[');
	for (int64_t i = 0; i < ios && (cqe = next_result()); i++) {
		json_open(NULL, '{');
		json_integer("asked_us", (int64_t)cqe->user_data * step_us);
		json_integer("took_us", (int64_t)(now_ns() - start_ns) / 1000);
		json_text("result", strerror(-cqe->res));
		json_close('}');
		io_uring_cqe_seen(&ring, cqe);
	}
	json_close(']');
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

	json_open("given_up", '{');
	for (int i = 0; i < 2 && (cqe = next_result()); i++) {
		json_text(cqe->user_data ? "timeout" : "read", strerror(cqe->res < 0 ? -cqe->res : 0));
		io_uring_cqe_seen(&ring, cqe);
	}
	json_close('}');
}

int stop_at_timeouts(void)
{
	if (ios > MAX_BATCH)
		die("--ios cannot be \"%" PRId64 "\"", "Allowed with --stop timeouts: 1 to 256.", ios);
	open_ring(MAX_BATCH);
	if (!workload_ready())
		return 0;
	json_open(NULL, '{');
	json_text("stop", stop_names[stop]);
	json_integer("ios", ios);
	ring_the_clocks();
	give_up_a_read();
	json_bool("stopped", workload_stopped);
	report_enter_calls();
	return close_report();
}
#endif
