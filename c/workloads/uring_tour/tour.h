/* SPDX-License-Identifier: Apache-2.0 */
/* What the stops of the tour share: the settings, the report, and the ring. */
#ifndef TOUR_H
#define TOUR_H

#include "workload.h"

#define MAX_BATCH 256
#define MAX_FILE_BYTES 65536

enum { NOPS, FILES, ECHO_, TIMEOUTS };
enum { PLAIN, IO_URING };

extern int stop, interface;
extern int64_t ios, batch, file_bytes, message_bytes, step_us;
extern bool cold, with_stat;
extern const char *folder;
extern const char *const stop_names[];

extern uint64_t start_ns;

/* What differs between the stops; main.c has the frame around it. NULL: this stop has none. */
struct stop {
	void (*prepare)(void);
	void (*open_ring)(void);
	int64_t (*plain)(void);				/* the work; returns how many operations were done */
	int64_t (*uring)(void);
	void (*report)(int64_t done);			/* more keys of the report */
	void (*report_plain_calls)(int64_t done);
};

extern const struct stop nops_stop, files_stop, echo_stop, timeouts_stop;

#ifdef HAVE_LIBURING
#include <liburing.h>

extern struct io_uring ring;
extern uint64_t enter_calls;

/* A kind of request: its name, and the least result that is a success. user_data holds its index. */
struct kind {
	const char *name;
	int least;
};

void open_ring(unsigned int entries);

/* Submits everything that is noted down and waits until all of it has ended: one system call. */
void submit_and_wait(unsigned int count);

/* Looks at `count` results and gives their places back. After a failure the rest of its chain is cancelled. */
void take_results(unsigned int count, const struct kind *kinds);

unsigned int size_of_batch(int64_t done);
#endif

#endif
