// SPDX-License-Identifier: Apache-2.0
/* Nops: what a request that does nothing costs, and what a call adds. */
#include "tour.h"

#ifdef HAVE_LIBURING

static void open_ring_of_nops(void)
{
	open_ring((unsigned int)batch);
}

static int64_t ring_nops(void)
{
	static const struct kind kinds[] = { { "nop", 0 } };
	int64_t done = 0;

	while (done < ios && !workload_stopped) {
		unsigned int count = size_of_batch(done);

		for (unsigned int i = 0; i < count; i++) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

			io_uring_prep_nop(sqe);
			sqe->user_data = 0;
		}
		submit_and_wait(count);
		take_results(count, kinds);
		done += count;
	}
	return done;
}

const struct stop nops_stop = { .open_ring = open_ring_of_nops, .uring = ring_nops };
#endif
