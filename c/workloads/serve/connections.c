// SPDX-License-Identifier: Apache-2.0
/* The connections that are open, in one list: a server that ends looks there for what it still holds. */
#include <pthread.h>

#include "serve.h"

struct connection *open_connections;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void lock_connections(void)
{
	pthread_mutex_lock(&lock);
}

void unlock_connections(void)
{
	pthread_mutex_unlock(&lock);
}

size_t input_bytes(void)
{
	return set.protocol == PROTOCOL_HTTP || set.message_bytes < 2048 ? 2048 : (size_t)set.message_bytes;
}

struct connection *connection_open(int fd, bool with_room)
{
	/* malloc, not calloc, for the room: a page that nobody writes to costs nothing */
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection || (with_room && !(connection->room = malloc(input_bytes()))))
		die("malloc: %s", "Free memory: see `free -m`.", strerror(errno));
	connection->fd = fd;
	lock_connections();
	connection->next = open_connections;
	if (open_connections)
		open_connections->before = connection;
	open_connections = connection;
	unlock_connections();
	return connection;
}

void connection_free(struct connection *connection)
{
	lock_connections();
	if (connection->before)
		connection->before->next = connection->next;
	else
		open_connections = connection->next;
	if (connection->next)
		connection->next->before = connection->before;
	unlock_connections();
	free(connection->room);
	free(connection);
}
