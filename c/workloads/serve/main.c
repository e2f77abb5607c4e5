// SPDX-License-Identifier: Apache-2.0
/*
 * Lesson 11: one server, several ways to serve many connections.
 *
 *	serve --go --way epoll --protocol http --message-bytes 64 --seconds 60
 *	serve --go --way multishot --transport unix
 *
 * It listens on the loopback address or on a Unix socket without a file, says on
 * stderr where, and ends on SIGTERM or when --seconds are over. serve_load.c or
 * `wrk` asks it.
 */
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/time.h>

#include "serve.h"

struct settings set = {
	.way = EPOLL,
	.transport = TRANSPORT_TCP,
	.protocol = PROTOCOL_ECHO,
	.message_bytes = 64,
	.seconds = 60,
};

int stop_fd;

static const char *const way_names[] = { "threads", "epoll", "uring", "multishot", "registered", "zerocopy", NULL };

/* The last three are one way, with one thing more each. */
static const struct way *const ways[] = {
	[THREADS] = &threads_way,	[EPOLL] = &epoll_way,		 [URING] = &uring_way,
	[MULTISHOT] = &multishot_way,	[REGISTERED] = &multishot_way, [ZEROCOPY] = &multishot_way,
};

static const struct option_row options[] = {
	OPTION_CHOICE("way", &set.way, way_names, "how to serve many connections"),
	OPTION_CHOICE("transport", &set.transport, transports, "kind of socket"),
	OPTION_CHOICE("protocol", &set.protocol, protocols, "send back what arrives, or answer GET requests"),
	OPTION_BYTES("message-bytes", &set.message_bytes, 1, MOST_MESSAGE_BYTES,
		     "size of a message (echo), or of the body of an answer (http)"),
	OPTION_REAL("seconds", &set.seconds, 0.001, 3600, "s", "it ends after this time, if nobody ends it before"),
	OPTIONS_END
};

/* One descriptor for each connection, and some more. */
static void allow_many_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		die("getrlimit: %s", "Report this: it cannot fail here.", strerror(errno));
	if (limit.rlim_max < MOST_CONNECTIONS + 32)
		unable("%d connections need more open files than this process may have (%llu): "
		       "raise the hard limit (`ulimit -Hn`)", MOST_CONNECTIONS,
		       (unsigned long long)limit.rlim_max);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void say_where(const struct address *address)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
	const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;

	if (set.transport == TRANSPORT_TCP)
		fprintf(stderr, "listening on 127.0.0.1:%d\n", ntohs(in->sin_port));
	else if (set.transport == TRANSPORT_TCP6)
		fprintf(stderr, "listening on [::1]:%d\n", ntohs(in6->sin6_port));
	else	/* its name begins with a NUL, which people write as @ */
		fprintf(stderr, "listening on @%.*s\n",
			(int)(address->length - offsetof(struct sockaddr_un, sun_path)) - 1, un->sun_path + 1);
}

/* Signals come as bytes of a file from now on: no way has to think of interrupted calls. */
static void stop_by_file(void)
{
	struct itimerval timer = { .it_value = { (time_t)set.seconds,
						 (suseconds_t)((set.seconds - (double)(time_t)set.seconds) * 1e6) } };
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGALRM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	stop_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (stop_fd < 0)
		die("signalfd: %s", "Allow more open files: see `ulimit -n`.", strerror(errno));
	setitimer(ITIMER_REAL, &timer, NULL);
}

int main(int argc, char **argv)
{
	struct address address;
	struct usage begin, used;
	uint64_t start_ns;
	int listener;

	workload_begin(argc, argv, "Serves many connections of this machine in one of several ways.", options);
	allow_many_files();
	protocol_open();
	ways[set.way]->open();
	listener = listen_locally(set.transport, 4096, &address);
	set_no_delay(set.transport, listener);	/* each connection inherits it */
	say_where(&address);
	if (!workload_ready())
		return 0;
	stop_by_file();
	total = (struct tally){ 0 };	/* without what was tried before */
	begin = usage_now();
	start_ns = now_ns();
	if (!workload_stopped)	/* by a signal that came before */
		ways[set.way]->run(listener);
	used = usage_since(begin);
	json_open(NULL, '{');
	json_text("way", way_names[set.way]);
	report(&used, now_ns() - start_ns);
	json_close('}');
	return workload_end();
}
