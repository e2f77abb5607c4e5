// SPDX-License-Identifier: Apache-2.0
/* Acts that read, write and receive. The calls are none that a workload makes for "go" and for its answer. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "script.h"

#define MOST_BYTES (1 << 20)

static char bytes[MOST_BYTES];

static int must(int result, const char *call)
{
	if (result < 0)
		die("%s: %s", "Look at `ulimit -n` and at /dev.", call, strerror(errno));
	return result;
}

static size_t size_of(const struct act *act)
{
	if (act->arguments[0] < 0 || act->arguments[0] > MOST_BYTES)
		die("%s of %" PRId64 " bytes", "Allowed: 0 to 1048576 bytes.", act->name, act->arguments[0]);
	return (size_t)act->arguments[0];
}

static void count(struct result *result, ssize_t moved)
{
	if (moved < 0)
		result->failed++;
	else
		result->bytes += moved;
	result->done++;
}

static void write_often(const struct act *act, struct result *result, const char *path)
{
	int fd = must(open(path, O_WRONLY | O_CLOEXEC), path);
	size_t size = size_of(act);

	for (result->fd = fd; result->done < act->times && !workload_stopped;)
		count(result, pwrite(fd, bytes, size, 0));
	close(fd);
}

static void perform_pwrite(const struct act *act, struct result *result)
{
	write_often(act, result, "/dev/null");
}

/*
 * Asks for 4096 bytes where the limit of a file's size lets fewer through. (Memory that ends
 * within the 4096 bytes does not do: on 5.10 such a call fails as a whole.)
 */
static void perform_partial(const struct act *act, struct result *result)
{
	int fd = must(memfd_create("partial", MFD_CLOEXEC), "memfd_create");
	size_t size = size_of(act);
	struct rlimit before, small;

	if (size < 1 || size > 4096)
		die("partial of %zu bytes", "Allowed: 1 to 4096 bytes.", size);
	must(getrlimit(RLIMIT_FSIZE, &before), "getrlimit");
	small = before;
	small.rlim_cur = size;
	must(setrlimit(RLIMIT_FSIZE, &small), "setrlimit");
	for (result->fd = fd; result->done < act->times && !workload_stopped;)
		count(result, pwrite(fd, bytes, 4096, 0));
	must(setrlimit(RLIMIT_FSIZE, &before), "setrlimit");
	close(fd);
}

static void perform_full(const struct act *act, struct result *result)
{
	write_often(act, result, "/dev/full");
}

/* Opens `path` again and again; each call succeeds (0), or fails with this error. */
static void open_often(const struct act *act, struct result *result, const char *path, int error)
{
	for (; result->done < act->times && !workload_stopped; result->done++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if ((fd < 0 ? errno : 0) != error)
			die("open %s: %s", "Look at `ulimit -n` and at /dev.", path, strerror(errno));
		if (fd < 0)
			result->failed++;
		else
			close(fd);
	}
}

static void perform_opened(const struct act *act, struct result *result)
{
	open_often(act, result, "/dev/null", 0);
}

static void perform_missing(const struct act *act, struct result *result)
{
	open_often(act, result, "/nowhere/labkit", ENOENT);
}

static void perform_nofolder(const struct act *act, struct result *result)
{
	open_often(act, result, "/dev/null/labkit", ENOTDIR);
}

static void perform_pread(const struct act *act, struct result *result)
{
	int fd = must(open("/dev/zero", O_RDONLY | O_CLOEXEC), "open /dev/zero");
	static __thread char own[65536];
	size_t size = size_of(act);

	for (result->fd = fd; result->done < act->times && !workload_stopped;)
		count(result, pread(fd, own, size < sizeof(own) ? size : sizeof(own), 0));
	close(fd);
}

/* Asks for 4096 bytes of a file that has only as many as the act says; of 0 bytes it is at the end. */
static void perform_short(const struct act *act, struct result *result)
{
	int fd = must(memfd_create("short", MFD_CLOEXEC), "memfd_create");
	char own[4096];

	must(ftruncate(fd, (off_t)size_of(act)), "ftruncate");
	for (result->fd = fd; result->done < act->times && !workload_stopped;)
		count(result, pread(fd, own, sizeof(own), 0));
	close(fd);
}

static void perform_badread(const struct act *act, struct result *result)
{
	char own[64];

	while (result->done < act->times && !workload_stopped)
		count(result, pread(-1, own, sizeof(own), 0));
}

/* ---- messages over a pair of sockets that keeps their borders --------------------------------- */

static void pair_of_sockets(int pair[2])
{
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socketpair");
}

static void close_pair(const int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

static void perform_receive(const struct act *act, struct result *result)
{
	size_t size = size_of(act);
	char own[4096];
	int pair[2];

	if (size > sizeof(own))
		die("%s of %zu bytes", "Allowed: 0 to 4096 bytes.", act->name, size);
	pair_of_sockets(pair);
	for (result->fd = pair[0]; result->done < act->times && !workload_stopped;) {
		must((int)send(pair[1], bytes, size, 0), "send");
		count(result, recv(pair[0], own, sizeof(own), 0));
	}
	close_pair(pair);
}

/* Nothing was sent, and the call does not wait: EAGAIN. */
static void perform_refused(const struct act *act, struct result *result)
{
	char own[64];
	int pair[2];

	pair_of_sockets(pair);
	for (result->fd = pair[0]; result->done < act->times && !workload_stopped;)
		count(result, recv(pair[0], own, sizeof(own), MSG_DONTWAIT));
	close_pair(pair);
}

struct sender {
	int64_t delay_us;
	int fd;
};

static void *send_late(void *argument)
{
	const struct sender *sender = argument;

	sleep_us(sender->delay_us);
	if (send(sender->fd, bytes, 1, 0) < 0)
		die("send: %s", "Run it again.", strerror(errno));
	return NULL;
}

static void perform_late(const struct act *act, struct result *result)
{
	char own[64];
	int pair[2];

	pair_of_sockets(pair);
	for (result->fd = pair[0]; result->done < act->times && !workload_stopped;) {
		struct sender sender = { act->arguments[0], pair[1] };
		pthread_t thread;

		if (pthread_create(&thread, NULL, send_late, &sender))
			die("no thread could be started", "Look at `ulimit -u`.");
		count(result, recv(pair[0], own, sizeof(own), 0));
		pthread_join(thread, NULL);
	}
	close_pair(pair);
}

const struct act_kind file_acts[] = {
	{ "pwrite", perform_pwrite, "N BYTES: write to /dev/null" },
	{ "partial", perform_partial, "N BYTES: ask to write 4096 bytes where only BYTES are allowed" },
	{ "full", perform_full, "N BYTES: write to a full disk: fails" },
	{ "opened", perform_opened, "N: open /dev/null, and close it" },
	{ "missing", perform_missing, "N: open what does not exist: ENOENT" },
	{ "nofolder", perform_nofolder, "N: open a file in a file: ENOTDIR" },
	{ "pread", perform_pread, "N BYTES: read /dev/zero" },
	{ "short", perform_short, "N BYTES: ask for 4096 bytes of a file that has BYTES" },
	{ "badread", perform_badread, "N: read from no file: fails" },
	{ "receive", perform_receive, "N BYTES: send a message, and receive it" },
	{ "refused", perform_refused, "N: receive where nothing was sent: fails" },
	{ "late", perform_late, "N US: receive a message that another thread sends after US microseconds" },
	{ NULL, NULL, NULL }
};
