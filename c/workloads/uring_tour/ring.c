// SPDX-License-Identifier: Apache-2.0
/* The ring that all stops use. */
#include "tour.h"

#ifdef HAVE_LIBURING

#include "uring_refused.h"

struct io_uring ring;
uint64_t enter_calls;

void open_ring(unsigned int entries)
{
	int error = -io_uring_queue_init(entries, &ring, 0);

	if (error)
		uring_refused(error, "");
}

void submit_and_wait(unsigned int count)
{
	int result;

	do {		/* once, unless a signal comes in between */
		result = io_uring_submit_and_wait(&ring, count);
		enter_calls++;
	} while (result == -EINTR || (result >= 0 && io_uring_cq_ready(&ring) < count));
	if (result < 0)
		die("io_uring_enter: %s", "Look at `dmesg`; try a smaller --batch.", strerror(-result));
}

void take_results(unsigned int count, const struct kind *kinds)
{
	const struct kind *failed = NULL;
	struct io_uring_cqe *cqe;
	unsigned int head, seen = 0;
	int result = 0;

	io_uring_for_each_cqe(&ring, head, cqe) {
		const struct kind *kind = &kinds[cqe->user_data];

		if (cqe->res < kind->least && (!failed || result == -ECANCELED)) {
			failed = kind;
			result = cqe->res;
		}
		seen++;
	}
	io_uring_cq_advance(&ring, seen);
	if (failed && (result == -EINVAL || result == -EOPNOTSUPP))
		unable("this kernel's io_uring does not know \"%s\" as it is used here: use --interface plain", failed->name);
	if (failed)
		die("%s: %s", "Look at `dmesg` and `ulimit -n`.", failed->name,
		    result < 0 ? strerror(-result) : "only a part was moved");
	if (seen != count)
		die("%u results came instead of %u", "Report this, with the options.", seen, count);
}

unsigned int size_of_batch(int64_t done)
{
	return (unsigned int)(ios - done < batch ? ios - done : batch);
}

#endif
