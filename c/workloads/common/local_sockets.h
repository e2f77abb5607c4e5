/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes of one program that talk over sockets of this machine: for
 * ping_pong.c and stream.c.
 *
 * The sockets are made after "go". A socket belongs forever to the cgroup that
 * its process is in when it is made. To have the pair in a cgroup, put the
 * process there between "ready" and "go".
 */
#ifndef LOCAL_SOCKETS_H
#define LOCAL_SOCKETS_H

#include <fcntl.h>
#include <linux/tcp.h>	/* knows more of struct tcp_info than netinet/tcp.h */
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "workload.h"

enum { TRANSPORT_TCP, TRANSPORT_TCP6, TRANSPORT_UNIX };
static const char *const transports[] = { "tcp", "tcp6", "unix", NULL };

struct address {
	struct sockaddr_storage storage;
	socklen_t length;
};

/* What a process has used. Both clocks stop while it sleeps or waits. */
struct usage {
	int64_t cpu_ns;
	int64_t voluntary_switches;	/* it waited for something */
	int64_t involuntary_switches;	/* another process was given its CPU */
};

struct usage usage_now(void);
struct usage usage_since(struct usage start);
void json_usage(const char *key, struct usage used);

/* How many segments with data TCP itself has sent for this socket: none by the shortcut. */
int64_t data_segments(int transport, int fd);

/* Memory that both processes see, filled with zeros: where the server reports its part of the result. */
void *shared_memory(size_t bytes);

/* Listens where the kernel finds a free place: a port, or a name without a file. */
int listen_locally(int transport, int backlog, struct address *address);

/* Without it TCP may keep a small message back until the one before is acknowledged (Nagle's algorithm). */
void set_no_delay(int transport, int fd);
int accept_one(int listener);
int connect_to(int transport, const struct address *address);

/*
 * Sends all of it. Returns how many send() calls it took, or -1 when the other
 * end is gone. A message by the shortcut of lesson 09 does not wait for room in
 * the other end's queue: when the kernel's memory for TCP is used up, send()
 * says ENOMEM, and we wait.
 */
int64_t send_all(int fd, const void *bytes, size_t length);

/*
 * After a recv() on a blocking socket: was it woken for nothing? On sockets that
 * are in a sockmap the kernel says EAGAIN then (in tcp_bpf_recvmsg), for instance
 * when a close in the other direction is acknowledged.
 */
static inline bool woken_for_nothing(ssize_t got)
{
	return got < 0 && (errno == EINTR || errno == EAGAIN);
}

/* Receives all of it. False when the other end has closed, or is gone. */
bool receive_all(int fd, void *bytes, size_t length);

#endif
