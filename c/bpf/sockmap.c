/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * A shortcut for TCP connections whose two ends are both on this machine.
 *
 * note_connection (sockops) runs when a connection of the cgroup is established. It puts the socket
 * in the map `sockets` under its name: addresses and ports. send_message (sk_msg) runs for each send
 * on such a socket. It names the other end, and has the kernel move the message straight into that
 * socket's receive queue: no segment, no acknowledgement, no loopback device.
 *
 * Attach send_message to the map first, note_connection to the cgroup second: a socket takes over
 * the program that the map has at the moment when the socket is put in.
 */
#include <uapi/linux/bpf.h>

#ifndef MAX_SOCKETS
#define MAX_SOCKETS 65536	/* two for each connection */
#endif

#define IPV4 2			/* AF_INET, which no header here defines */

struct end {
	u32 ip[4];		/* network order; IPv4 in the form of IPv6, ::ffff:127.0.0.1 */
	u32 port;		/* host order */
};

struct name {
	struct end from, to;
	u64 netns;		/* each network namespace has its own 127.0.0.1; 0 where the kernel cannot say */
};

BPF_SOCKHASH(sockets, struct name, MAX_SOCKETS);

/*
 * How a socket sends. Its first message decides. Later it may go from the shortcut to TCP, never
 * back: the receiver empties the shortcut's queue before TCP's, so a message by the shortcut would
 * overtake one sent before by TCP.
 */
enum way { UNDECIDED, SHORTCUT, TCP };

struct route {
	struct name peer;
	u64 way;
};

BPF_SK_STORAGE(routes, struct route);	/* kept with each socket, and gone with it */

struct sockmap_counts {
	u64 redirects;		/* messages by the shortcut */
	u64 redirect_bytes;
	u64 misses;		/* messages by TCP, because the other end is not in the map */
	u64 miss_bytes;
	u64 inserts;		/* sockets put in the map */
	u64 insert_failures;	/* sockets that found the map full: they stay plain TCP */
	u64 skips;		/* sockets whose other end is not on this machine */
};

/*
 * Per CPU, and still added to atomically: a program that runs for a socket stays on its CPU, but the kernel may
 * preempt it there, and another process may run the same program on that CPU.
 */
BPF_PERCPU_ARRAY(counts, struct sockmap_counts, 1);

/*
 * The verifier wants each read of the context at a fixed place. clang would merge reads of two
 * branches into one whose place depends on the branch; it does not look into assembly, though empty.
 */
static __always_inline u32 as_it_stands(u32 field)
{
	asm volatile("" : "+r"(field));
	return field;
}

static __always_inline void write_ipv4(u32 ip[4], u32 ipv4)
{
	ip[2] = bpf_htonl(0xffff);
	ip[3] = ipv4;
}

static __always_inline bool is_local(const struct name *name)
{
	const u32 *from = name->from.ip, *to = name->to.ip;

	if (!to[0] && !to[1] && to[2] == bpf_htonl(0xffff) && bpf_ntohl(to[3]) >> 24 == 127)
		return true;	/* 127.0.0.0/8 */
	return from[0] == to[0] && from[1] == to[1] && from[2] == to[2] && from[3] == to[3];
}

int note_connection(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sock = ops->sk;
	struct name name = {};
	struct sockmap_counts *count;
	struct route *route;
	int first = 0, failed;

	if (ops->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && ops->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 0;
	if (ops->data_segs_out)		/* TCP Fast Open has sent bytes already: they must not be overtaken */
		return 0;
	if (ops->family == IPV4) {
		write_ipv4(name.from.ip, as_it_stands(ops->local_ip4));
		write_ipv4(name.to.ip, as_it_stands(ops->remote_ip4));
	} else {
#pragma unroll
		for (int i = 0; i < 4; i++) {
			name.from.ip[i] = as_it_stands(ops->local_ip6[i]);
			name.to.ip[i] = as_it_stands(ops->remote_ip6[i]);
		}
	}
	name.from.port = ops->local_port;
	name.to.port = bpf_ntohl(ops->remote_port);
#ifndef NO_NETNS_COOKIE			/* Linux 5.10 has none for sockops */
	name.netns = bpf_get_netns_cookie(ops);
#endif

	count = counts.lookup(&first);
	if (!count || !sock)
		return 0;
	if (!is_local(&name)) {
		__sync_fetch_and_add(&count->skips, 1);
		return 0;
	}
	route = routes.sk_storage_get(sock, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!route) {
		__sync_fetch_and_add(&count->insert_failures, 1);
		return 0;
	}
	failed = sockets.sock_hash_update(ops, &name, BPF_ANY);	/* BCC needs it on its own line */
	if (failed) {
		__sync_fetch_and_add(&count->insert_failures, 1);
		return 0;
	}
	__sync_fetch_and_add(&count->inserts, 1);
	route->peer.from = name.to;
	route->peer.to = name.from;
	route->peer.netns = name.netns;
	return 0;
}

int send_message(struct sk_msg_md *msg)
{
	struct bpf_sock *sock = msg->sk;
	struct sockmap_counts *count;
	struct route *route;
	int first = 0;

	count = counts.lookup(&first);
	if (!count || !sock)
		return SK_PASS;
	route = routes.sk_storage_get(sock, 0, 0);
	if (route && route->way != TCP &&
	    sockets.msg_redirect_hash(msg, &route->peer, BPF_F_INGRESS) == SK_PASS) {
		route->way = SHORTCUT;
		__sync_fetch_and_add(&count->redirects, 1);
		__sync_fetch_and_add(&count->redirect_bytes, msg->size);
		return SK_PASS;
	}
	/* Do not return what the failed lookup returned: SK_DROP becomes "permission denied". */
	if (route)
		route->way = TCP;
	__sync_fetch_and_add(&count->misses, 1);
	__sync_fetch_and_add(&count->miss_bytes, msg->size);
	return SK_PASS;
}
