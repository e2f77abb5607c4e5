// SPDX-License-Identifier: Apache-2.0
/*
 * Lesson 08: io_uring does more than reads. Four stops of a tour; where a comparison
 * makes sense, a stop also runs without io_uring:
 *
 *	uring_tour --go --stop nops --batch 32		nothing at all, 32 times with one call
 *	uring_tour --go --stop files --interface plain	stat, open, read and close many small files
 *	uring_tour --go --stop files --interface io_uring	the same, as chains of linked requests
 *	uring_tour --go --stop echo --interface io_uring	there and back through a pair of sockets
 *	uring_tour --go --stop timeouts			timeouts, and a read that one of them cancels
 */
#include "tour.h"

const char *const stop_names[] = { "nops", "files", "echo", "timeouts", NULL };
static const char *const interface_names[] = { "plain", "io_uring", NULL };

int stop = NOPS, interface = IO_URING;
int64_t ios = 1000, batch = 32, file_bytes = 4096, message_bytes = 64, step_us = 1000;
bool cold, with_stat;
const char *folder = ".";

static const struct option_row options[] = {
	OPTION_CHOICE("stop", &stop, stop_names, "where to stop on the tour"),
	OPTION_CHOICE("interface", &interface, interface_names, "one system call after another, or io_uring (files, echo)"),
	OPTION_INTEGER("ios", &ios, 1, 10000000, "operations", "nops, files, round trips or timeouts in all"),
	OPTION_INTEGER("batch", &batch, 1, MAX_BATCH, "operations", "operations submitted per call"),
	OPTION_TEXT("folder", &folder, "a folder", "files: where they are made, in a folder of their own"),
	OPTION_BYTES("file-bytes", &file_bytes, 8, MAX_FILE_BYTES, "files: size of each, a multiple of 8"),
	OPTION_FLAG("cold", &cold, "files: their content is out of the page cache at first"),
	OPTION_FLAG("stat", &with_stat, "files: also ask for the size of each"),
	OPTION_BYTES("message-bytes", &message_bytes, 1, 4096, "echo: size of a message"),
	OPTION_INTEGER("step-us", &step_us, 1, 1000000, "microseconds", "timeouts: the first takes one step, the second two"),
	OPTIONS_END
};

uint64_t start_ns;

static const struct stop *const stops[] = {
	[FILES] = &files_stop,
	[ECHO_] = &echo_stop,
#ifdef HAVE_LIBURING
	[NOPS] = &nops_stop,
	[TIMEOUTS] = &timeouts_stop,
#endif
};

static void report(const struct stop *this, int64_t done)
{
	double elapsed_s = (double)(now_ns() - start_ns) / 1e9;

	json_open(NULL, '{');
	json_text("stop", stop_names[stop]);
	json_text("interface", interface_names[interface]);
	json_integer("ios", done);
	json_integer("batch", batch);
	json_real("elapsed_s", elapsed_s);
	json_bool("stopped", workload_stopped);
	if (this->report)
		this->report(done);
	json_open("calls", '{');
	if (interface == PLAIN)
		this->report_plain_calls(done);
#ifdef HAVE_LIBURING
	else
		json_integer("io_uring_enter", (int64_t)enter_calls);
#endif
	json_close('}');
	json_close('}');
}

int main(int argc, char **argv)
{
	const struct stop *this;

	workload_begin(argc, argv, "Shows what else goes through io_uring, and what it saves.", options);
	this = stops[stop];
#ifndef HAVE_LIBURING
	if (interface == IO_URING || !this)
		unable("this program was built without liburing: run `apt-get install liburing-dev`, then `make -C c`");
#endif
	if (interface == PLAIN && !this->plain)
		die("--interface cannot be \"plain\" with --stop %s", "Allowed with --stop nops and timeouts: io_uring.",
		    stop_names[stop]);
	if (this->prepare)
		this->prepare();
	if (interface == IO_URING)
		this->open_ring();
	if (!workload_ready())
		return 0;
	start_ns = now_ns();
	report(this, interface == IO_URING ? this->uring() : this->plain());
	return workload_end();
}
