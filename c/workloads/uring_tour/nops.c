// SPDX-License-Identifier: Apache-2.0
/* Nops: what a request costs that does nothing, and what a call adds. */
#include "tour.h"

#ifdef HAVE_LIBURING

int stop_at_nops(void)
{
	static const struct kind kinds[] = { { "nop", 0 } };
	int64_t done = 0;

	open_ring((unsigned int)batch);
	if (!workload_ready())
		return 0;
	start_ns = now_ns();
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
	open_report(done);
	report_enter_calls();
	return close_report();
}
#endif
