/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The callback that libbpf calls for each record of a BPF ring buffer: append it to an array.
 *
 * A Python callback costs about 2 microseconds per record; this one costs about 10 nanoseconds.
 * labkit/bpf/ring.py allocates the array (NumPy) and reads it when all is over.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ring_sink {
	uint8_t *records;	/* room for `capacity` records of `record_bytes` each */
	uint64_t record_bytes;
	uint64_t capacity;
	uint64_t count;		/* records kept */
	uint64_t overflow;	/* records that the array had no room for */
	int64_t budget;		/* records this call may still take: a fast producer cannot hold us here */
	uint64_t shorter;	/* records that ended early: what is missing is zeros */
	uint64_t longer;	/* records of which only the head was kept */
	uint32_t *sizes;	/* the size of each record as it came; NULL: nobody asks */
};

static int take(struct ring_sink *sink, void *record, size_t bytes, size_t came)
{
	size_t most = sink->record_bytes, kept = bytes < most ? bytes : most;
	uint8_t *room;

	if (sink->count == sink->capacity) {
		sink->overflow++;
	} else {
		if (sink->sizes)
			sink->sizes[sink->count] = came;
		room = sink->records + sink->count++ * most;
		memcpy(room, record, kept);
		memset(room + kept, 0, most - kept);
		sink->shorter += bytes < most;
		sink->longer += bytes > most;
	}
	/* libbpf has already released this record when it sees the error: nothing is read twice. */
	return --sink->budget > 0 ? 0 : -ECANCELED;
}

int labkit_ring_take(void *context, void *record, size_t bytes)
{
	return take(context, record, bytes, bytes);
}

/* Of a perf buffer: the kernel makes each record longer by up to 7 bytes, so that the next one is aligned. */
void labkit_perf_take(void *context, void *record, int bytes)
{
	struct ring_sink *sink = context;
	size_t most = sink->record_bytes, size = bytes;

	take(sink, record, size > most && size < most + 8 ? most : size, size);
}

/* The program itself counts each record that had no room. Without this function BCC would print about them. */
void labkit_perf_lost(void *context, uint64_t records)
{
	(void)context;
	(void)records;
}
