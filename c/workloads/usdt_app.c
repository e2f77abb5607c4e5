// SPDX-License-Identifier: Apache-2.0
/*
 * Lesson 05: a small server without a network, whose author placed probes in it with sys/sdt.h.
 *
 *	usdt_app --go				serves 23 requests, each in 20 microseconds
 *	usdt_app --go --work-ns 1000000		the same, each in a millisecond
 *	usdt_app --go --loop plain --iterations 1000000
 *						only fires a probe, again and again
 *	readelf -n usdt_app			what a tracer finds out about the probes
 *
 * It counts how often each probe fires, so that a tracer's counts can be checked.
 */
#include "workload.h"

static int64_t requests = 23;
static int64_t work_ns = 20000;
static int64_t interval_us;
static int64_t slow_request;
static int64_t slow_ns = 5000000;
static const char *path_text;
static int loop;
static int64_t iterations = 1000000;

enum { LOOP_REQUESTS, LOOP_NONE, LOOP_PLAIN, LOOP_GUARDED, LOOP_LONG };
static const char *const loop_names[] = { "requests", "none", "plain", "guarded", "long", NULL };

static const struct option_row options[] = {
	OPTION_INTEGER("requests", &requests, 0, 10000000, "requests", "how many to serve"),
	OPTION_INTEGER("work-ns", &work_ns, 0, 1000000000, "ns", "how long the work of a request takes"),
	OPTION_INTEGER("interval-us", &interval_us, 0, 10000000, "microseconds", "rest between two requests"),
	OPTION_INTEGER("slow-request", &slow_request, 0, 10000000, "request", "this one takes longer; 0: none"),
	OPTION_INTEGER("slow-ns", &slow_ns, 0, 1000000000, "ns", "how long that one takes"),
	OPTION_TEXT("path", &path_text, "any text", "what every request asks for; without it they differ"),
	OPTION_CHOICE("loop", &loop, loop_names, "serve requests, or only fire a probe of this kind"),
	OPTION_INTEGER("iterations", &iterations, 0, 10000000000, "times", "how often to pass it"),
	OPTIONS_END
};

#ifndef HAVE_SDT

int main(int argc, char **argv)
{
	workload_begin(argc, argv, "Fires USDT probes.", options);
	unable("it was compiled without sys/sdt.h: run `sudo apt-get install systemtap-sdt-dev`, then `make -C c`");
}

#else

/* show: semaphores */
/*
 * A semaphore is a counter that tracers raise while they listen to a probe. In section .probes it has a place in the
 * file, and the note of the probe says where. It is volatile because a tracer changes it.
 */
#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>

#define SEMAPHORE(probe) \
	volatile unsigned short labkit_##probe##_semaphore __attribute__((section(".probes")))
/*
 * Now sys/sdt.h wants one for each probe of this file. Those that need none get the address 0, which says so: a weak
 * symbol without a definition has it.
 */
#define NO_SEMAPHORE(probe) \
	extern volatile unsigned short labkit_##probe##_semaphore __attribute__((weak, visibility("hidden")))

SEMAPHORE(request_detail);
SEMAPHORE(loop_guarded);
NO_SEMAPHORE(request_start);
NO_SEMAPHORE(request_done);
NO_SEMAPHORE(loop_plain);
/* show: end */
#ifdef __x86_64__
NO_SEMAPHORE(loop_long);
#endif

struct request {
	uint64_t id;
	uint32_t body_bytes;
	char path[116];
};

struct counts {
	int64_t request_start, request_done, request_detail, failed;
	int64_t body_bytes;
	struct histogram latency_ns;
};

static const char *const paths[] = { "/", "/index.html", "/login", "/search?q=ebpf", "/images/bee.svg" };

/* The expensive preparation: only a tracer has a use for its result. */
static const char *describe(const struct request *request)
{
	static char text[64];
	uint32_t sum = 1;

	for (int round = 0; round < 20000; round++)
		sum = sum * 31 + (uint32_t)request->path[round % (int)sizeof(request->path)];
	snprintf(text, sizeof(text), "request %" PRIu64 ", sum %08x", request->id, sum);
	return text;
}

/* show: serve */
static void serve(const struct request *request, uint64_t takes_ns, struct counts *counts)
{
	uint64_t start_ns = now_ns(), latency_ns;
	int32_t status = request->id % 7 ? 200 : -ENOENT;	/* every seventh request is for a page we lack */

	DTRACE_PROBE3(labkit, request_start, request->id, request->path, request);
	counts->request_start++;

	if (labkit_request_detail_semaphore) {	/* does anybody listen? */
		DTRACE_PROBE2(labkit, request_detail, request->id, describe(request));
		counts->request_detail++;
	}

	do {
		latency_ns = now_ns() - start_ns;
	} while (latency_ns < takes_ns);

	DTRACE_PROBE3(labkit, request_done, request->id, status, latency_ns);
	counts->request_done++;
	counts->failed += status < 0;
	histogram_add(&counts->latency_ns, latency_ns);
}
/* show: end */

static int work_requests(void)
{
	struct counts counts = { 0 };
	struct request request = { 0 };
	uint64_t began_ns, elapsed_ns;

	if (path_text && strlen(path_text) >= sizeof(request.path))
		die("--path is %zu bytes long", "Allowed: up to 115 bytes.", strlen(path_text));
	if (!workload_ready())
		return 0;

	began_ns = now_ns();
	while (counts.request_done < requests && !workload_stopped) {
		request.id++;
		request.body_bytes = (uint32_t)(request.id * 7919 % 65536);
		counts.body_bytes += request.body_bytes;
		snprintf(request.path, sizeof(request.path), "%s",
			 path_text ? path_text : paths[request.id % (sizeof(paths) / sizeof(*paths))]);
		serve(&request, (uint64_t)((int64_t)request.id == slow_request ? slow_ns : work_ns), &counts);
		if (interval_us)
			sleep_us(interval_us);
	}
	elapsed_ns = now_ns() - began_ns;

	json_open(NULL, '{');
	json_integer("request_start", counts.request_start);
	json_integer("request_done", counts.request_done);
	json_integer("request_detail", counts.request_detail);
	json_integer("failed", counts.failed);
	json_integer("body_bytes", counts.body_bytes);
	json_real("elapsed_s", (double)elapsed_ns / 1e9);
	json_histogram("latency_ns", &counts.latency_ns);
	json_close('}');
	return workload_end();
}

/* show: loops */
/* A little work that the compiler cannot leave out. */
__attribute__((noinline))
static uint64_t step(uint64_t value)
{
	__asm__ volatile("" : "+r"(value));
	return value + 1;
}

static void loop_none(int64_t times)
{
	uint64_t value = 0;

	for (int64_t i = 0; i < times; i++)
		value = step(value);
}

static void loop_plain(int64_t times)
{
	uint64_t value = 0;

	for (int64_t i = 0; i < times; i++) {
		value = step(value);
		DTRACE_PROBE1(labkit, loop_plain, value);
	}
}

static void loop_guarded(int64_t times)
{
	uint64_t value = 0;

	for (int64_t i = 0; i < times; i++) {
		value = step(value);
		if (labkit_loop_guarded_semaphore)
			DTRACE_PROBE1(labkit, loop_guarded, value);
	}
}
/* show: end */

#ifdef __x86_64__
/* show: long */
/*
 * The same probe on a nop of five bytes, room enough for a call instruction. Newer kernels make use of that, and write
 * below the stack pointer: safe here, because a function that calls another (step) keeps nothing there.
 */
#undef _SDT_NOP
#define _SDT_NOP .nops 5
static void loop_long(int64_t times)
{
	uint64_t value = 0;

	for (int64_t i = 0; i < times; i++) {
		value = step(value);
		DTRACE_PROBE1(labkit, loop_long, value);
	}
}
/* show: end */
#else
static void loop_long(int64_t times)
{
	(void)times;
	unable("--loop long: on this architecture all instructions, and so all nops, have the same length");
}
#endif

static int work_loop(void)
{
	static void (*const loops[])(int64_t) = {
		[LOOP_NONE] = loop_none,
		[LOOP_PLAIN] = loop_plain,
		[LOOP_GUARDED] = loop_guarded,
		[LOOP_LONG] = loop_long,
	};
	int64_t done = 0;
	uint64_t began_ns, elapsed_ns;

	loops[loop](0);
	if (!workload_ready())
		return 0;

	began_ns = now_ns();
	while (done < iterations && !workload_stopped) {
		int64_t batch = iterations - done < 1000 ? iterations - done : 1000;

		loops[loop](batch);
		done += batch;
	}
	elapsed_ns = now_ns() - began_ns;

	json_open(NULL, '{');
	json_integer("iterations", done);
	json_real("elapsed_s", (double)elapsed_ns / 1e9);
	json_close('}');
	return workload_end();
}

int main(int argc, char **argv)
{
	workload_begin(argc, argv, "Serves requests and fires USDT probes while it does.", options);
	return loop == LOOP_REQUESTS ? work_requests() : work_loop();
}

#endif
