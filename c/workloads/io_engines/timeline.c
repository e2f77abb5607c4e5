// SPDX-License-Identifier: Apache-2.0
/* One record per I/O: it shows which I/Os were in flight at the same time. */
#include <sys/mman.h>

#include "loop.h"

/* 40 bytes. NumPy reads them with dtype "<u8,<u8,<u8,<u8,<u4,<u4". */
struct record {
	uint64_t submit_ns, submitted_ns, complete_ns, offset_bytes;
	uint32_t slot, block_bytes;
};

bool has_timeline;
static struct record *records;
static uint64_t record_count;

void timeline_make(void)
{
	if (!set.timeline)
		return;
	if (set.no_timing)
		die("--timeline and --no-timing exclude each other", "Leave out one of the two.");
	records = mmap(NULL, (size_t)set.timeline_ios * sizeof(*records), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (records == MAP_FAILED)
		die("no memory for --timeline-ios %" PRId64, "Give a smaller --timeline-ios.", set.timeline_ios);
	has_timeline = true;
}

/* The threads of the pool add records at the same time, so each takes a number first. */
void timeline_add(const struct slot *slot, unsigned int index, uint64_t complete_ns)
{
	uint64_t number = __atomic_fetch_add(&record_count, 1, __ATOMIC_RELAXED);

	if (number < (uint64_t)set.timeline_ios)
		records[number] = (struct record){ slot->submit_ns, slot->submitted_ns, complete_ns,
						   slot->offset_bytes, index, (uint32_t)set.block_bytes };
}

void timeline_write(void)
{
	uint64_t limit = (uint64_t)set.timeline_ios, kept = record_count < limit ? record_count : limit;
	FILE *file;

	if (!has_timeline)
		return;
	file = fopen(set.timeline, "we");
	if (!file || fwrite(records, sizeof(*records), kept, file) != kept || fclose(file))
		die("--timeline %s: %s", "Choose a path where you may write.", set.timeline, strerror(errno));
	json_integer("timeline_ios", (int64_t)kept);
	json_integer("timeline_lost", (int64_t)(record_count - kept));
	has_timeline = false;
}
