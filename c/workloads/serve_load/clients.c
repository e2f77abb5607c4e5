// SPDX-License-Identifier: Apache-2.0
/*
 * One thread asks over many connections, by epoll. Each connection has at most one
 * request in flight.
 *
 *	closed loop	a connection asks again as soon as it has its answer
 *	open loop	requests are due at random times, --rate per second on average. A
 *			free connection takes the next one; if none is free, it waits, and
 *			its latency, which counts from when it was due, contains that wait
 */
#include <math.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "load.h"

#define MOST_EVENTS 256
#define LONGEST_WAIT_MS 10000
#define SLOW_PIECES 8	/* a slow client sends, and reads, in this many pieces */

struct client {
	int fd;
	uint32_t connection;		/* each that was opened has a number of its own */
	uint64_t number;		/* requests on this connection so far */
	bool slow, busy, wants_room;
	size_t sent, got;		/* of the request, of the answer */
	uint64_t due_ns, sent_ns;
	struct client *next_free;
};

struct tally tally;

static struct client *clients, *free_clients;
static int poll_set, timer;
static int64_t busy_count;
static uint64_t start_ns, end_ns, due_ns;	/* the next request of the open loop */
static char room[MOST_ANSWER_BYTES];

static void want(int how, struct client *client, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = client };

	if (epoll_ctl(poll_set, how, client ? client->fd : timer, &event))
		die("epoll_ctl: %s", "Free memory: see `free -m`.", strerror(errno));
}

static void open_client(struct client *client)
{
	client->fd = connect_to(transport, &server);
	set_no_delay(transport, client->fd);
	if (fcntl(client->fd, F_SETFL, O_NONBLOCK))
		die("fcntl: %s", "Report this: it cannot fail here.", strerror(errno));
	client->connection = (uint32_t)tally.opened_connections++;
	client->number = 0;
	client->wants_room = false;
	want(EPOLL_CTL_ADD, client, EPOLLIN);
}

static void server_is_gone(const struct client *client, const char *call)
{
	die("%s: the server has ended connection %u after %" PRIu64 " answers: %s",
	    "Look at what the server said. Was it ended too early?", call, client->connection, client->number,
	    strerror(errno));
}

static size_t piece(const struct client *client, size_t all, size_t done)
{
	size_t step = client->slow ? all / SLOW_PIECES + 1 : all;

	return all - done < step ? all - done : step;
}

/* Sends what is left of the request, or as much as is taken. */
static void send_on(struct client *client)
{
	size_t length;
	const char *bytes = request_bytes(client->connection, client->number, &length);
	ssize_t sent = send(client->fd, bytes + client->sent, piece(client, length, client->sent), MSG_NOSIGNAL);
	bool is_left;

	if (sent < 0 && errno != EAGAIN)
		server_is_gone(client, "send");
	if (sent > 0)
		client->sent += (size_t)sent;
	is_left = client->sent < length;
	tally.asked += !is_left;
	if (is_left != client->wants_room) {
		client->wants_room = is_left;
		want(EPOLL_CTL_MOD, client, is_left ? EPOLLIN | EPOLLOUT : EPOLLIN);
	}
}

static void ask(struct client *client, uint64_t due)
{
	client->busy = true;
	client->sent = client->got = 0;
	client->due_ns = due;
	client->sent_ns = now_ns();
	busy_count++;
	send_on(client);
}

static bool is_over(uint64_t stamp_ns)
{
	return workload_stopped || stamp_ns >= end_ns || (set.requests && tally.answered + busy_count >= set.requests);
}

/* ---- the open loop's schedule ---- */

static void plan_next(void)
{
	/* a Poisson process: the gaps are exponentially distributed */
	double share = ((double)(chance() >> 11) + 0.5) / 9007199254740992.0;

	due_ns += (uint64_t)(-log(share) / set.rate * 1e9);
}

/*
 * Asks what is due, as long as a connection is free; then the timer wakes us for the
 * next. When the time is over, nothing more is asked: what is late stays late.
 */
static void ask_what_is_due(void)
{
	struct itimerspec next = { 0 };

	while (free_clients && due_ns <= now_ns() && !is_over(now_ns())) {
		struct client *client = free_clients;

		free_clients = client->next_free;
		ask(client, due_ns);
		tally.offered++;
		plan_next();
	}
	if (free_clients)
		next.it_value = (struct timespec){ (time_t)(due_ns / NS_PER_S), (long)(due_ns % NS_PER_S) };
	if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &next, NULL))
		die("timerfd_settime: %s", "Report this: it cannot fail here.", strerror(errno));
}

/* ---- answers ---- */

static void is_answered(struct client *client)
{
	uint64_t stamp_ns = now_ns();

	histogram_add(&tally.latency, stamp_ns - client->due_ns);
	if (set.rate > 0)
		histogram_add(&tally.service, stamp_ns - client->sent_ns);
	tally.answered++;
	busy_count--;
	client->busy = false;
	client->number++;
	if (set.visits_every && tally.answered % set.visits_every == 0)
		visit();
	if (set.requests_per_connection && client->number >= (uint64_t)set.requests_per_connection) {
		close(client->fd);
		open_client(client);
	}
	if (set.rate > 0) {
		client->next_free = free_clients;
		free_clients = client;
	} else if (!is_over(stamp_ns)) {
		ask(client, now_ns());
	}
}

static void receive(struct client *client)
{
	size_t length;
	const char *due = answer_bytes(client->connection, client->number, &length);
	ssize_t got = recv(client->fd, room, client->busy ? piece(client, length, client->got) : 1, 0);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0)
		server_is_gone(client, "recv");
	if (!client->busy) {	/* nobody has asked */
		tally.wrong_bytes += got;
		return;
	}
	tally.wrong_bytes += differences(room, due + client->got, (size_t)got);
	client->got += (size_t)got;
	if (client->got == length)
		is_answered(client);
}

static void serve_event(const struct epoll_event *event)
{
	struct client *client = event->data.ptr;

	if (!client)		/* the timer: ask_what_is_due() sets it again */
		return;
	if (event->events & EPOLLOUT && client->wants_room)
		send_on(client);
	if (event->events & ~(uint32_t)EPOLLOUT)
		receive(client);
}

static void one_round(void)
{
	struct epoll_event events[MOST_EVENTS];
	int64_t left_ms = (int64_t)(end_ns - now_ns()) / 1000000;
	bool idle = busy_count == 0;
	int count = epoll_wait(poll_set, events, MOST_EVENTS,
			       idle && left_ms < LONGEST_WAIT_MS ? (left_ms > 0 ? (int)left_ms : 0) : LONGEST_WAIT_MS);

	if (count == 0 && !idle)
		die("no answer came for %d s; %" PRId64 " requests wait for one",
		    "Look at what the server said; report this, with the options of both.", LONGEST_WAIT_MS / 1000,
		    busy_count);
	for (int i = 0; i < count; i++)
		serve_event(&events[i]);
}

static void open_all(void)
{
	clients = calloc((size_t)set.connections, sizeof(*clients));
	if (!clients)
		die("calloc: %s", "Free memory.", strerror(errno));
	poll_set = epoll_create1(EPOLL_CLOEXEC);
	if (poll_set < 0)
		die("epoll_create1: %s", "Free memory, or allow more open files: see `ulimit -n`.", strerror(errno));
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (timer < 0)
		die("timerfd_create: %s", "Free memory, or allow more open files: see `ulimit -n`.", strerror(errno));
	want(EPOLL_CTL_ADD, NULL, EPOLLIN);
	for (int64_t i = 0; i < set.connections; i++) {
		clients[i].slow = i < set.slow;
		open_client(&clients[i]);
		clients[i].next_free = free_clients;
		free_clients = &clients[i];
	}
}

void run_clients(void)
{
	open_all();
	start_ns = due_ns = now_ns();
	end_ns = set.requests ? UINT64_MAX / 2 : start_ns + (uint64_t)(set.seconds * 1e9);
	for (int64_t i = 0; set.rate == 0 && i < set.connections && !is_over(start_ns); i++)
		ask(&clients[i], now_ns());
	if (set.rate > 0)
		plan_next();
	while (busy_count || !is_over(now_ns())) {
		if (set.rate > 0)
			ask_what_is_due();
		one_round();
	}
	tally.elapsed_ns = now_ns() - start_ns;
	for (; set.rate > 0 && !set.requests && due_ns < end_ns; plan_next()) {
		tally.offered++;
		tally.never_asked++;
	}
	for (int64_t i = 0; i < set.connections; i++)
		close(clients[i].fd);
	end_visits();
	free(clients);
}
