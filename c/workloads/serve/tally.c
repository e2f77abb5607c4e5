// SPDX-License-Identifier: Apache-2.0
/* What the server has counted, as JSON. */
#include "serve.h"

struct tally total;

static const char *const call_names[CALLS] = {
	[ACCEPT4] = "accept4",
	[RECVFROM] = "recvfrom",
	[SENDTO] = "sendto",
	[EPOLL_WAIT] = "epoll_wait",
	[EPOLL_CTL] = "epoll_ctl",
	[IO_URING_ENTER] = "io_uring_enter",
	[CLOSE] = "close",
};

void tally_add(struct tally *into, const struct tally *more)
{
	into->requests += more->requests;
	into->refused_requests += more->refused_requests;
	into->received_bytes += more->received_bytes;
	into->sent_bytes += more->sent_bytes;
	into->accepted += more->accepted;
	into->resets += more->resets;
	for (int call = 0; call < CALLS; call++)
		into->calls[call] += more->calls[call];
}

/* The most memory that this program has had at a time, without the kernel's own for it; -1: not known. */
static int64_t peak_bytes(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	int64_t kib = -1;
	char line[128];

	while (status && kib < 0 && fgets(line, sizeof(line), status))
		sscanf(line, "VmHWM: %" SCNd64, &kib);
	if (status)
		fclose(status);
	return kib < 0 ? -1 : kib * 1024;
}

void report(const struct usage *used, uint64_t elapsed_ns)
{
	json_text("transport", transports[set.transport]);
	json_text("protocol", protocols[set.protocol]);
	json_integer("message_bytes", set.message_bytes);
	json_integer("requests", total.requests);
	json_integer("refused_requests", total.refused_requests);
	json_integer("received_bytes", total.received_bytes);
	json_integer("sent_bytes", total.sent_bytes);
	json_integer("accepted", total.accepted);
	json_integer("resets", total.resets);
	json_integer("entries", total.entries);
	json_integer("notifications", total.notifications);
	json_integer("copied_notifications", total.copied_notifications);
	json_real("elapsed_s", (double)elapsed_ns / 1e9);
	json_usage("server", *used);
	json_integer("peak_bytes", peak_bytes());
	json_open("calls", '{');
	for (int call = 0; call < CALLS; call++) {
		if (total.calls[call])
			json_integer(call_names[call], total.calls[call]);
	}
	json_close('}');
}
