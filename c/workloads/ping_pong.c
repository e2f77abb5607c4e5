// SPDX-License-Identifier: Apache-2.0
/*
 * Lesson 09: how long a message takes to a process of this machine and back.
 *
 *	ping_pong --go --transport tcp --message-bytes 64 --seconds 1
 *	ping_pong --go --transport unix --client-cpu 0 --server-cpu 1
 *	ping_pong --go --round-trips 997 --connections 3
 *
 * The client sends, the server sends the same back. One message is on its way
 * at any time. With several connections, each round trip takes the next one.
 */
#include "local_sockets.h"

static int transport = TRANSPORT_TCP;
static int64_t message_bytes = 64;
static int64_t connections = 1;
static int64_t round_trips;
static double seconds = 1;
static int64_t warm_up = 200;
static int64_t client_cpu = -1;
static int64_t server_cpu = -1;

static const struct option_row options[] = {
	OPTION_CHOICE("transport", &transport, transports, "kind of socket"),
	OPTION_BYTES("message-bytes", &message_bytes, 1, 1 << 20, "size of a message, each way"),
	OPTION_INTEGER("connections", &connections, 1, 1024, "connections", "how many to use in turn"),
	OPTION_INTEGER("round-trips", &round_trips, 0, 1000000000, "round trips", "how many; 0: as --seconds says"),
	OPTION_REAL("seconds", &seconds, 0.001, 3600, "s", "how long, unless --round-trips says"),
	OPTION_INTEGER("warm-up", &warm_up, 0, 1000000, "round trips", "how many before the measured ones"),
	OPTION_INTEGER("client-cpu", &client_cpu, -1, CPU_SETSIZE - 1, "CPU", "CPU of the client; -1: as --cpu says"),
	OPTION_INTEGER("server-cpu", &server_cpu, -1, CPU_SETSIZE - 1, "CPU", "CPU of the server; -1: as --cpu says"),
	OPTIONS_END
};

/* What the server reports. */
struct receipt {
	int cpu;
	struct usage used;
};

/* ---- server ----------------------------------------------------------------------------------- */

static void serve(pid_t client, int listener, unsigned char *message, struct receipt *receipt)
{
	size_t length = (size_t)message_bytes;
	int *fds = calloc((size_t)connections, sizeof(*fds));
	struct usage start = usage_now();

	workload_die_with_parent(client);
	if (server_cpu >= 0)
		workload_pin((int)server_cpu, "--server-cpu");
	if (!fds)
		die("calloc: %s", "Free memory: see `free -m`.", strerror(errno));
	for (int64_t i = 0; i < connections; i++) {
		fds[i] = accept_one(listener);
		set_no_delay(transport, fds[i]);
		/* The barrier: nothing is sent before both ends know that they are connected. */
		send_all(fds[i], "!", 1);
	}
	for (int64_t round = 0;; round++) {
		int fd = fds[round % connections];

		if (round == warm_up)
			start = usage_now();
		if (!receive_all(fd, message, length) || send_all(fd, message, length) < 0)
			break;		/* the client has closed */
	}
	receipt->used = usage_since(start);
	receipt->cpu = sched_getcpu();
	free(fds);
}

/* ---- client ----------------------------------------------------------------------------------- */

struct outcome {
	int64_t round_trips;
	int64_t messages;	/* each way, the greetings and the warm-up among them */
	int64_t data_segments;	/* that TCP sent for the client */
	int cpu;
	uint64_t elapsed_ns;
	struct usage used;
	struct histogram latency;
};

static void one_round_trip(int fd, unsigned char *message, int64_t round)
{
	size_t length = (size_t)message_bytes;
	unsigned char stamp = (unsigned char)round;

	message[0] = message[length - 1] = stamp;
	if (send_all(fd, message, length) < 0)
		die("the server is gone after %" PRId64 " round trips", "Look below for what the server said.", round);
	message[0] = message[length - 1] = (unsigned char)~stamp;
	if (!receive_all(fd, message, length))
		die("the server is gone after %" PRId64 " round trips", "Look below for what the server said.", round);
	if (message[0] != stamp || message[length - 1] != stamp)
		die("round trip %" PRId64 " brought another message", "Report this: bytes came out of order.", round);
}

static void play(const struct address *address, unsigned char *message, struct outcome *outcome)
{
	int *fds = calloc((size_t)connections, sizeof(*fds));
	int64_t round = 0;
	struct usage start;
	uint64_t start_ns, before_ns, after_ns, end_ns;
	char greeting;

	if (!fds)
		die("calloc: %s", "Free memory: see `free -m`.", strerror(errno));
	for (int64_t i = 0; i < connections; i++) {
		fds[i] = connect_to(transport, address);
		set_no_delay(transport, fds[i]);
		if (!receive_all(fds[i], &greeting, 1))
			die("the server is gone before the first message", "Look below for what the server said.");
	}
	for (; round < warm_up && !workload_stopped; round++)
		one_round_trip(fds[round % connections], message, round);

	start = usage_now();
	start_ns = after_ns = now_ns();
	end_ns = round_trips ? UINT64_MAX : start_ns + (uint64_t)(seconds * 1e9);
	while (!workload_stopped && after_ns < end_ns) {
		if (round_trips && outcome->round_trips == round_trips)
			break;
		before_ns = after_ns;	/* one look at the clock for each round trip */
		one_round_trip(fds[round % connections], message, round);
		after_ns = now_ns();
		round++;
		histogram_add(&outcome->latency, after_ns - before_ns);
		outcome->round_trips++;
	}
	outcome->elapsed_ns = after_ns - start_ns;
	outcome->used = usage_since(start);
	outcome->cpu = sched_getcpu();
	outcome->messages = connections + 2 * round;

	for (int64_t i = 0; i < connections; i++) {
		outcome->data_segments += data_segments(transport, fds[i]);
		close(fds[i]);
	}
	free(fds);
}

int main(int argc, char **argv)
{
	static struct outcome outcome;
	struct receipt *receipt;
	struct address address;
	unsigned char *message;
	int listener, status = 0;
	pid_t client = getpid(), server;

	workload_begin(argc, argv, "Sends a message to another process and back, again and again.", options);
	message = calloc(1, (size_t)message_bytes);
	if (!message)
		die("calloc: %s", "Free memory: see `free -m`.", strerror(errno));
	receipt = shared_memory(sizeof(*receipt));
	if (!workload_ready())
		goto out;

	listener = listen_locally(transport, (int)connections, &address);
	server = fork();
	if (server < 0)
		die("fork: %s", "Look at `ulimit -u` and `free -m`.", strerror(errno));
	if (server == 0) {
		serve(client, listener, message, receipt);
		free(message);
		_exit(0);
	}
	close(listener);
	if (client_cpu >= 0)
		workload_pin((int)client_cpu, "--client-cpu");
	play(&address, message, &outcome);
	while (waitpid(server, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		die("the server is gone after %" PRId64 " round trips", "Look below for what the server said.",
		    outcome.round_trips);

	json_open(NULL, '{');
	json_text("transport", transports[transport]);
	json_integer("message_bytes", message_bytes);
	json_integer("connections", connections);
	json_integer("round_trips", outcome.round_trips);
	json_integer("messages", outcome.messages);
	json_integer("data_segments", outcome.data_segments);
	json_integer("client_cpu", outcome.cpu);
	json_integer("server_cpu", receipt->cpu);
	json_real("elapsed_s", (double)outcome.elapsed_ns / 1e9);
	json_usage("client", outcome.used);
	json_usage("server", receipt->used);
	json_histogram("latency_ns", &outcome.latency);
	json_close('}');
	status = workload_end();
out:
	free(message);
	return status;
}
