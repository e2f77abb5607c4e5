// SPDX-License-Identifier: Apache-2.0
/* What a run uses: time, CPU time, bytes. */
#include <sys/resource.h>

#include "usage.h"

/*
 * /proc/self/io counts the bytes of all threads of this process, the kernel's own for io_uring as well:
 * read_bytes when a read is sent to the device, write_bytes when one is sent or, in the page cache, when a page
 * becomes dirty.
 */
static void read_device_bytes(struct resources *usage)
{
	char line[64];
	FILE *file = fopen("/proc/self/io", "re");

	usage->device_read_bytes = usage->device_write_bytes = -1;
	while (file && fgets(line, sizeof(line), file)) {
		sscanf(line, "read_bytes: %" SCNd64, &usage->device_read_bytes);
		sscanf(line, "write_bytes: %" SCNd64, &usage->device_write_bytes);
	}
	if (file)
		fclose(file);
}

static double seconds_of(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

struct resources resources_now(bool threads_first)
{
	struct resources usage = { .elapsed_ns = now_ns() };
	struct rusage main_thread, all;

	if (threads_first)
		getrusage(RUSAGE_SELF, &all);
	getrusage(RUSAGE_THREAD, &main_thread);
	if (!threads_first)
		getrusage(RUSAGE_SELF, &all);
	usage.main_user_s = seconds_of(main_thread.ru_utime);
	usage.main_system_s = seconds_of(main_thread.ru_stime);
	usage.all_user_s = seconds_of(all.ru_utime);
	usage.all_system_s = seconds_of(all.ru_stime);
	if (set.engine == POOL)
		main_thread = all;	/* its threads do what main() does with the other engines */
	usage.voluntary_switches = main_thread.ru_nvcsw;
	usage.involuntary_switches = main_thread.ru_nivcsw;
	read_device_bytes(&usage);
	return usage;
}

static void resources_sum(struct resources *into, const struct resources *other, int sign)
{
	into->elapsed_ns += (uint64_t)sign * other->elapsed_ns;
	into->main_user_s += sign * other->main_user_s;
	into->main_system_s += sign * other->main_system_s;
	into->all_user_s += sign * other->all_user_s;
	into->all_system_s += sign * other->all_system_s;
	into->voluntary_switches += sign * other->voluntary_switches;
	into->involuntary_switches += sign * other->involuntary_switches;
	into->device_read_bytes += sign * other->device_read_bytes;
	into->device_write_bytes += sign * other->device_write_bytes;
}

void resources_add(struct resources *into, const struct resources *more)
{
	resources_sum(into, more, 1);
}

struct resources resources_between(const struct resources *begin, const struct resources *pauses)
{
	uint64_t end_ns = now_ns();
	struct resources used = resources_now(true);
	bool unknown = used.device_read_bytes < 0;

	used.elapsed_ns = end_ns;
	resources_sum(&used, begin, -1);
	resources_sum(&used, pauses, -1);
	if (unknown)
		used.device_read_bytes = used.device_write_bytes = -1;
	return used;
}
