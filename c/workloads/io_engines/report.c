// SPDX-License-Identifier: Apache-2.0
/* What a run has used and found out, as JSON. */
#include <dirent.h>
#include <sys/resource.h>

#include "file.h"
#include "loop.h"
#include "report.h"

/* ---- what a run uses ---- */

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

static void report_resources(const struct resources *used)
{
	double user_s = used->main_user_s, system_s = used->main_system_s;
	double rest_s = used->all_user_s + used->all_system_s - user_s - system_s;

	if (set.engine == POOL) {
		user_s = used->all_user_s;
		system_s = used->all_system_s;
		rest_s = 0;
	}
	json_real("user_s", user_s);
	json_real("system_s", system_s);
	json_real("kernel_threads_s", rest_s > 0 ? rest_s : 0);
	json_integer("voluntary_switches", used->voluntary_switches);
	json_integer("involuntary_switches", used->involuntary_switches);
	if (used->device_read_bytes >= 0) {
		json_integer("device_read_bytes", used->device_read_bytes);
		json_integer("device_write_bytes", used->device_write_bytes);
	}
}

void fail_io(const struct slot *slot, int result)
{
	die("%s of %" PRId64 " bytes at %" PRIu64 ": %s",
	    result == -ENOSPC ? "Free some space, or choose another --folder." :
	    result == -EINVAL ? "With O_DIRECT, --block-bytes must be a multiple of the device's sector." :
	    result >= 0 ? "The file was cut short: let nobody else use the data folder, and run it again." :
	    result == -EOPNOTSUPP ? "Use --durable end: the file system may have no RWF_DSYNC." :
	    "Look at `dmesg`. Nothing of this run counts.",
	    set.operation == READ ? "read" : "write", set.block_bytes, slot->offset_bytes,
	    result < 0 ? strerror(-result) : "only a part was moved");
}

/* ---- the kernel's threads ---- */

static void report_kernel_thread(const char *id)
{
	char path[64], name[32] = "";
	unsigned long long cpu_ns = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", id);
	file = fopen(path, "re");
	if (file) {
		if (!fgets(name, sizeof(name), file))
			name[0] = '\0';
		name[strcspn(name, "\n")] = '\0';
		fclose(file);
	}
	if (strncmp(name, "iou-", 4))
		return;		/* a thread of the pool */
	snprintf(path, sizeof(path), "/proc/self/task/%.20s/schedstat", id);
	file = fopen(path, "re");
	if (file) {
		if (fscanf(file, "%llu", &cpu_ns) != 1)
			cpu_ns = 0;
		fclose(file);
	}
	json_open(NULL, '{');
	json_text("name", name);
	json_integer("tid", atoi(id));
	json_real("cpu_s", (double)cpu_ns / 1e9);
	json_close('}');
}

/* The kernel makes io_uring's helpers threads of this process: iou-sqp-PID submits, iou-wrk-PID works. */
static void report_kernel_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;

	json_open("kernel_threads", '[');
	while (tasks && (task = readdir(tasks))) {
		if (task->d_name[0] != '.' && atoi(task->d_name) != getpid())
			report_kernel_thread(task->d_name);
	}
	json_close(']');
	if (tasks)
		closedir(tasks);
}

/* ---- all of it ---- */

static void report_settings(const struct engine *engine)
{
	json_text("engine", engine->name);
	json_text("operation", operation_names[set.operation]);
	json_text("order", order_names[set.order]);
	json_text("cache", cache_names[set.cache]);
	json_text("durable", durable_names[set.durable]);
	json_integer("block_bytes", set.block_bytes);
	json_integer("queue_depth", set.queue_depth);
	json_integer("batch", set.batch);
	json_integer("wait_for", set.wait_for);
	json_integer("sync_every", set.sync_every);
	json_real("rate", set.rate);
}

static void report_file(void)
{
	json_text("filesystem", file_system_name());
	json_integer("file_bytes", set.file_bytes);
	json_integer("file_bytes_wanted", file_bytes_wanted);
	if (resident_pages >= 0)
		json_integer("resident_pages", resident_pages);
}

static void report_latencies(double elapsed_s)
{
	if (!set.no_timing)	/* Little's law; in the open loop what waits for its turn is not in flight */
		json_real("in_flight", (double)(set.rate ? &tally.service : &tally.latency)->sum_ns / 1e9 / elapsed_s);
	json_histogram("latency_ns", &tally.latency);
	if (set.rate) {
		json_integer("offered_ios", (int64_t)offered);
		json_histogram("service_ns", &tally.service);
	}
	json_histogram("submit_call_ns", &submit_call);
	json_histogram("wait_call_ns", &wait_call);
	json_histogram("fdatasync_ns", &fdatasync_call);
}

void report(const struct engine *engine, const struct resources *used)
{
	double elapsed_s = (double)used->elapsed_ns / 1e9;

	report_settings(engine);
	report_file();
	json_integer("ios", (int64_t)tally.ios);
	json_integer("bytes", (int64_t)tally.ios * set.block_bytes);
	json_integer("repeats", (int64_t)tally.repeats);
	json_real("elapsed_s", elapsed_s);
	json_bool("stopped", workload_stopped);
	report_resources(used);
	report_kernel_threads();
	json_open("calls", '{');
	engine->report_calls();
	json_integer("fdatasync", (int64_t)fdatasync_call.count);
	json_close('}');
	if (engine->report)
		engine->report();
	report_latencies(elapsed_s);
}
