/* SPDX-License-Identifier: Apache-2.0 */
/* The loop that is measured: what it works on, and what it has counted. */
#ifndef LOOP_H
#define LOOP_H

#include "engine.h"
#include "stopwatch.h"
#include "usage.h"

/* An I/O in flight, or a free place for one. */
struct slot {
	uint64_t position;	/* in the order in which the blocks are visited */
	uint64_t offset_bytes;
	uint64_t scheduled_ns;	/* when it was due; in the closed loop, when it was submitted */
	uint64_t submit_ns;	/* before it was submitted */
	uint64_t submitted_ns;	/* after; only for the time line */
	uint32_t done_bytes;	/* moved so far: the kernel may move a part only */
	uint32_t tries;		/* answers in a row that moved nothing and asked to try again */
};

/* What ended. Each thread of the pool counts for itself. */
struct tally {
	uint64_t ios, verified_ios, checksum;
	struct histogram latency, service;
};

extern struct slot slots[MAX_DEPTH];
extern struct tally tally;
extern struct histogram submit_call, wait_call, fdatasync_call;
extern uint64_t started, stop_at, first_started;	/* I/Os; positions count from first_started */
extern uint64_t offered;		/* I/Os that were due during the run, in the open loop */

void make_order(void);			/* of the blocks */

/* Runs as --seconds or --ios say, and returns what that used. */
struct resources run(const struct engine *engine);

/* Reads every block once more, with the same engine, and compares it. */
void verify_after(const struct engine *engine);

bool out_of_time(void);			/* is the time over, or has a signal come? */
bool over(void);			/* the same, or have all --ios started? */
uint64_t stamp(void);			/* the time now, by the clock that the run uses */
uint64_t position_of(uint64_t number);	/* of the I/O that was the number-th to start */
void prepare_slot(struct slot *slot, unsigned int index, uint64_t position, uint64_t scheduled_ns, uint64_t stamp_ns);
void count_io(struct tally *into, unsigned int index, uint64_t stamp_ns);

/* --timeline (timeline.c) */
extern bool has_timeline;
void timeline_make(void);
void timeline_add(const struct slot *slot, unsigned int index, uint64_t complete_ns);
void timeline_write(void);

/* The schedule of the open loop (schedule.c). The times are those of now_ns(). */
void schedule_begin(uint64_t start_ns);
void schedule_shift(uint64_t pause_ns);
uint64_t schedule_next(void);		/* when the next I/O is due */
void schedule_take(void);		/* it is started: go on to the one after */
uint64_t schedule_offered(uint64_t until_ns);	/* how many were due until then, started or not; after the run */
void sleep_until(uint64_t until_ns);	/* may return early */

#endif
