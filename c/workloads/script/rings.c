// SPDX-License-Identifier: Apache-2.0
/* Acts that go through io_uring, by hand (../uring_raw.h). One call submits all requests of an act. */
#include <fcntl.h>

#include "../uring_raw.h"
#include "script.h"
#include "uring_refused.h"

#define RING_ENTRIES 128

static char buffer[4096];

static void take(struct raw_ring *ring, struct result *result)
{
	struct io_uring_cqe *cqe;
	int error = raw_wait_cqe(ring, &cqe);

	if (error)
		die("io_uring_enter: %s", "Look at `dmesg`.", strerror(-error));
	if (cqe->res < 0)
		result->failed++;
	else
		result->bytes += cqe->res;
	result->done++;
	raw_cqe_seen(ring);
}

static void go_through(const struct act *act, struct result *result, int opcode, int fd, uint8_t flags)
{
	struct raw_ring ring;
	int error;

	if (act->times > RING_ENTRIES)
		die("%s %" PRId64, "Allowed: 0 to 128 requests.", act->name, act->times);
	error = raw_queue_init(RING_ENTRIES, &ring, 0);
	if (error)
		uring_refused(-error, "");
	for (int64_t i = 0; i < act->times; i++) {
		struct io_uring_sqe *sqe = raw_get_sqe(&ring);

		sqe->opcode = (uint8_t)opcode;
		sqe->flags = flags;
		sqe->fd = fd;
		if (opcode == IORING_OP_READ) {
			sqe->addr = (uint64_t)(uintptr_t)buffer;
			sqe->len = act->arguments[0] > 0 && act->arguments[0] < 4096 ? (uint32_t)act->arguments[0] : 1;
		}
	}
	error = act->times ? raw_submit(&ring) : 0;
	if (error)
		die("io_uring_enter: %s", "Look at `dmesg`.", strerror(-error));
	while (result->done < act->times)
		take(&ring, result);
	raw_queue_exit(&ring);
}

static void read_file(const struct act *act, struct result *result, const char *path, uint8_t flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("open %s: %s", "Check that it is the device of that name.", path, strerror(errno));
	go_through(act, result, IORING_OP_READ, fd, flags);
	close(fd);
}

static void perform_nops(const struct act *act, struct result *result)
{
	go_through(act, result, IORING_OP_NOP, -1, 0);
}

static void perform_reads(const struct act *act, struct result *result)
{
	read_file(act, result, "/dev/zero", 0);
}

/* /dev/null is at its end at once: each result is 0, and that is no error. */
static void perform_ends(const struct act *act, struct result *result)
{
	read_file(act, result, "/dev/null", 0);
}

static void perform_errors(const struct act *act, struct result *result)
{
	go_through(act, result, IORING_OP_READ, -1, 0);
}

static void perform_worked(const struct act *act, struct result *result)
{
	read_file(act, result, "/dev/zero", IOSQE_ASYNC);
}

static void perform_workednops(const struct act *act, struct result *result)
{
	go_through(act, result, IORING_OP_NOP, -1, IOSQE_ASYNC);
}

const struct act_kind ring_acts[] = {
	{ "nops", perform_nops, "N: requests that do nothing" },
	{ "reads", perform_reads, "N BYTES: reads of /dev/zero" },
	{ "ends", perform_ends, "N: reads at the end of a file: 0 bytes" },
	{ "errors", perform_errors, "N: reads from no file: each fails" },
	{ "worked", perform_worked, "N BYTES: reads of /dev/zero that go to a worker" },
	{ "workednops", perform_workednops, "N: requests that do nothing, in a worker" },
	{ NULL, NULL, NULL }
};
