/* kind: helper | type: SOCKET_FILTER
 * A socket filter may look at a packet, not send copies. */
int rejected(struct __sk_buff *skb)
{
	return bpf_clone_redirect(skb, 1, 0); /* rejected here */
}
