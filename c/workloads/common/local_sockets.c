// SPDX-License-Identifier: Apache-2.0
#include "local_sockets.h"

struct usage usage_now(void)
{
	struct timespec cpu;
	struct rusage used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	getrusage(RUSAGE_SELF, &used);
	return (struct usage) {
		.cpu_ns = (int64_t)cpu.tv_sec * (int64_t)NS_PER_S + cpu.tv_nsec,
		.voluntary_switches = used.ru_nvcsw,
		.involuntary_switches = used.ru_nivcsw,
	};
}

struct usage usage_since(struct usage start)
{
	struct usage now = usage_now();

	now.cpu_ns -= start.cpu_ns;
	now.voluntary_switches -= start.voluntary_switches;
	now.involuntary_switches -= start.involuntary_switches;
	return now;
}

void json_usage(const char *key, struct usage used)
{
	json_open(key, '{');
	json_integer("cpu_ns", used.cpu_ns);
	json_integer("voluntary_switches", used.voluntary_switches);
	json_integer("involuntary_switches", used.involuntary_switches);
	json_close('}');
}

int64_t data_segments(int transport, int fd)
{
	struct tcp_info known = { 0 };
	socklen_t length = sizeof(known);

	if (transport == TRANSPORT_UNIX || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &known, &length))
		return 0;
	return known.tcpi_data_segs_out;
}

void *shared_memory(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap: %s", "Free memory: see `free -m`.", strerror(errno));
	return memory;
}

static int make_socket(int transport)
{
	static const int families[] = { AF_INET, AF_INET6, AF_UNIX };
	int fd = socket(families[transport], SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 && errno == EAFNOSUPPORT)
		unable("this kernel has no %s sockets: use another --transport", transports[transport]);
	if (fd < 0)
		die("socket: %s", "Allow more open files: see `ulimit -n`.", strerror(errno));
	return fd;
}

int listen_locally(int transport, int backlog, struct address *address)
{
	int fd = make_socket(transport);

	memset(address, 0, sizeof(*address));
	if (transport == TRANSPORT_TCP) {
		struct sockaddr_in *in = (struct sockaddr_in *)&address->storage;

		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		address->length = sizeof(*in);
	} else if (transport == TRANSPORT_TCP6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->storage;

		in6->sin6_family = AF_INET6;
		in6->sin6_addr = in6addr_loopback;
		address->length = sizeof(*in6);
	} else {
		address->storage.ss_family = AF_UNIX;	/* nothing after the family: the kernel makes up a name */
		address->length = sizeof(sa_family_t);
	}
	if (bind(fd, (struct sockaddr *)&address->storage, address->length))
		unable("cannot listen on the loopback address of %s: %s", transports[transport], strerror(errno));
	address->length = sizeof(address->storage);
	if (getsockname(fd, (struct sockaddr *)&address->storage, &address->length) || listen(fd, backlog))
		die("listen: %s", "Report this: it cannot fail here.", strerror(errno));
	return fd;
}

void set_no_delay(int transport, int fd)
{
	int on = 1;

	if (transport != TRANSPORT_UNIX && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		die("TCP_NODELAY: %s", "Report this: it cannot fail here.", strerror(errno));
}

int accept_one(int listener)
{
	int fd;

	do
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		die("accept: %s", "Allow more open files: see `ulimit -n`.", strerror(errno));
	return fd;
}

int connect_to(int transport, const struct address *address)
{
	int fd = make_socket(transport);
	int failed;

	/* Linux goes on with a connect() that a signal has interrupted when it is called again. */
	do
		failed = connect(fd, (const struct sockaddr *)&address->storage, address->length);
	while (failed && errno == EINTR);
	if (failed)
		die("%sconnect: %s",
		    "Look below for what the server said, or whether a firewall closes the loopback device.",
		    errno == ECONNREFUSED ? "the server is gone: " : "", strerror(errno));
	return fd;
}

int64_t send_all(int fd, const void *bytes, size_t length)
{
	int64_t sends = 0;

	while (length) {
		ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);

		if (sent > 0) {
			sends++;
			bytes = (const char *)bytes + sent;
			length -= (size_t)sent;
		} else if (errno == ENOMEM || errno == ENOBUFS) {
			sleep_us(1000);
		} else if (errno != EINTR) {
			return -1;
		}
	}
	return sends;
}

bool receive_all(int fd, void *bytes, size_t length)
{
	while (length) {
		ssize_t got = recv(fd, bytes, length, 0);

		if (got == 0 || (got < 0 && !woken_for_nothing(got)))
			return false;
		if (got > 0) {
			bytes = (char *)bytes + got;
			length -= (size_t)got;
		}
	}
	return true;
}
