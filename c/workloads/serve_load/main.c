// SPDX-License-Identifier: Apache-2.0
/*
 * Lesson 11: clients that ask the server of this lesson, and compare every byte
 * that comes back.
 *
 *	serve_load --go --address 127.0.0.1:4711 --connections 100 --seconds 1
 *	serve_load --go --address @00005 --protocol http --rate 20000
 *	serve_load --go --address 127.0.0.1:4711 --connections 1000 --slow 50
 *		--requests-per-connection 100 --visits-every 10 --requests 100000
 *
 * The address is the one that the server says on stderr.
 */
#include <sys/prctl.h>

#include "load.h"

struct settings set = {
	.protocol = PROTOCOL_ECHO,
	.message_bytes = 64,
	.connections = 1,
	.seconds = 1,
	.seed = 1,
};

int transport;
struct address server;

static const struct option_row options[] = {
	OPTION_TEXT("address", &set.address, "127.0.0.1:PORT or @NAME", "where the server listens"),
	OPTION_CHOICE("protocol", &set.protocol, protocols, "what the server speaks"),
	OPTION_BYTES("message-bytes", &set.message_bytes, 1, MOST_MESSAGE_BYTES,
		     "size of a message (echo), or of the body of an answer (http), as the server has it"),
	OPTION_INTEGER("connections", &set.connections, 1, 1000, "connections", "how many clients"),
	OPTION_INTEGER("slow", &set.slow, 0, 1000, "clients", "this many of them send and read in small pieces"),
	OPTION_INTEGER("requests", &set.requests, 0, 1000000000, "requests", "how many; 0: as --seconds says"),
	OPTION_REAL("seconds", &set.seconds, 0.001, 3600, "s", "how long, unless --requests says"),
	OPTION_REAL("rate", &set.rate, 0, 1e7, "requests per second",
		    "open loop: requests are due at random times, this many per second; 0: closed loop"),
	OPTION_INTEGER("requests-per-connection", &set.requests_per_connection, 0, 1000000000, "requests",
		       "then a client closes it and opens another; 0: never"),
	OPTION_INTEGER("visits-every", &set.visits_every, 0, 1000000000, "requests",
		       "after this many answers a client comes that misbehaves; 0: never"),
	OPTION_INTEGER("seed", &set.seed, 1, INT32_MAX, "", "of what is left to chance"),
	OPTIONS_END
};

static void read_address(void)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&server.storage;
	struct sockaddr_un *un = (struct sockaddr_un *)&server.storage;
	char rest;
	unsigned int port;

	if (!set.address)
		die("--address is missing", "Give the address that the server says, such as 127.0.0.1:4711.");
	if (set.address[0] == '@' && strlen(set.address) < sizeof(un->sun_path)) {
		transport = TRANSPORT_UNIX;
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path + 1, set.address + 1, strlen(set.address) - 1);
		server.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(set.address));
		return;
	}
	if (sscanf(set.address, "127.0.0.1:%5u%c", &port, &rest) != 1 || port == 0 || port > 65535)
		die("--address cannot be \"%s\"", "Allowed: 127.0.0.1:PORT or @NAME. Other machines are not asked.",
		    set.address);
	transport = TRANSPORT_TCP;
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in->sin_port = htons((uint16_t)port);
	server.length = sizeof(*in);
}

static void allow_many_files(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	struct usage used;

	workload_begin(argc, argv, "Asks a server over many connections and compares every byte of its answers.",
		       options);
	if (set.address)
		read_address();
	if (set.slow > set.connections)
		die("--slow %" PRId64 " is more than --connections %" PRId64, "Allowed: 0 to --connections.", set.slow,
		    set.connections);
	allow_many_files();
	messages_open();
	prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0);	/* else the kernel may wake us 50 us late, to save power */
	if (!workload_ready())
		return 0;
	if (!set.address)
		read_address();
	used = usage_now();
	run_clients();
	used = usage_since(used);

	json_open(NULL, '{');
	json_text("protocol", protocols[set.protocol]);
	json_integer("message_bytes", set.message_bytes);
	json_integer("connections", set.connections);
	json_real("rate", set.rate);
	json_integer("asked", tally.asked);
	json_integer("answered", tally.answered);
	json_integer("offered", tally.offered);
	json_integer("never_asked", tally.never_asked);
	json_integer("wrong_bytes", tally.wrong_bytes);
	json_integer("opened_connections", tally.opened_connections);
	json_integer("visits", tally.visits);
	json_integer("reset_visits", tally.reset_visits);
	json_real("elapsed_s", (double)tally.elapsed_ns / 1e9);
	json_usage("client", used);
	json_histogram("latency_ns", &tally.latency);
	json_histogram("service_ns", &tally.service);
	json_close('}');
	return workload_end();
}
