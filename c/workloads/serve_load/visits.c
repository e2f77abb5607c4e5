// SPDX-License-Identifier: Apache-2.0
/* Clients as the internet has them: they leave early, say half of it, reset, or fall silent. */
#include "load.h"

#define MOST_SILENT 64

static int silent[MOST_SILENT], silent_count;

static void leave(int fd)
{
	close(fd);
}

static void reset(int fd)
{
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };	/* on TCP, close() sends a RST then */

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

/* Keeps the connection open and says nothing more, until the run ends. */
static void fall_silent(int fd)
{
	if (silent_count == MOST_SILENT)
		close(fd);
	else
		silent[silent_count++] = fd;
}

static const struct {
	int sixteenths;		/* of a request that are sent */
	void (*end)(int fd);
} kinds[] = { { 0, leave }, { 8, leave }, { 8, reset }, { 16, reset }, { 8, fall_silent } };

void visit(void)
{
	int kind = (int)(tally.visits++ % (int64_t)(sizeof(kinds) / sizeof(kinds[0])));
	int fd = connect_to(transport, &server);
	size_t length;
	const char *bytes = request_bytes(UINT32_MAX, (uint64_t)tally.visits, &length);

	/* The server may be busy: what it does not take at once is not sent. */
	if (send(fd, bytes, length * (size_t)kinds[kind].sixteenths / 16, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
	    errno != EAGAIN)
		die("a visitor could not send: %s", "Look at what the server said.", strerror(errno));
	tally.reset_visits += kinds[kind].sixteenths == 16;
	kinds[kind].end(fd);
}

void end_visits(void)
{
	while (silent_count)
		close(silent[--silent_count]);
}
