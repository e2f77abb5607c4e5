/* kind: reference | type: SCHED_CLS
 * The socket that was looked up is not released. */
int rejected(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sock;

	sock = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), -1, 0); /* rejected here */
	return sock ? 1 : 0;
}
