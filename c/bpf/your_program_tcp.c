/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 12: the round-trip time of each TCP connection from which a process, or a child of it, receives.
 *
 * The kernel handles a segment in whichever process runs then. So the first program, which runs in the receiver, notes
 * the connection, and the second looks at each segment of the connections noted.
 *
 * NO_COOKIE is given where tcp_probe has no cookie: there the two ports tell connections apart.
 */
#include <linux/in6.h>	/* sockaddr_in6, by whose size 5.10 describes two fields of tcp_probe */
#include "labkit_watched.h"

#ifdef NO_COOKIE
#define CONNECTION(args) ((u64)args->sport << 16 | args->dport)
#else
#define CONNECTION(args) args->sock_cookie
#endif

struct connection {
	u64 segments;
	u64 total_us;		/* of the smoothed round trip, at each segment */
	u32 last_us;
	u32 min_us;
	u32 max_us;
	u16 local_port;
	u16 remote_port;
};

BPF_HASH(connections, u64, struct connection, 16384);	/* by the kernel's cookie of the socket, or the ports */

TRACEPOINT_PROBE(tcp, tcp_rcv_space_adjust)
{
	u64 key = CONNECTION(args);
	struct connection zero = { .min_us = 0xffffffff };

	if (!is_watched())
		return 0;
	zero.local_port = args->sport;
	zero.remote_port = args->dport;
	if (!connections.lookup_or_try_init(&key, &zero))
		labkit_count_lost();
	return 0;
}

TRACEPOINT_PROBE(tcp, tcp_probe)
{
	u64 key = CONNECTION(args);
	struct connection *one = connections.lookup(&key);

	if (!one)
		return 0;
	__sync_fetch_and_add(&one->segments, 1);
	__sync_fetch_and_add(&one->total_us, args->srtt);
	one->last_us = args->srtt;	/* the kernel holds the lock of the socket */
	if (args->srtt < one->min_us)
		one->min_us = args->srtt;
	if (args->srtt > one->max_us)
		one->max_us = args->srtt;
	return 0;
}
