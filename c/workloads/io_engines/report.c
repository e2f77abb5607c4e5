// SPDX-License-Identifier: Apache-2.0
/* What a run has used and found out, as JSON. */
#include <dirent.h>

#include "file.h"
#include "file_system.h"
#include "loop.h"
#include "report.h"

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
	json_integer("repeats", (int64_t)repeats);
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
