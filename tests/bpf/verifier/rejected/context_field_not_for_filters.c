/* kind: context | type: SOCKET_FILTER
 * A socket filter may not see where the packet lies. */
int rejected(struct __sk_buff *skb)
{
	return skb->data; /* rejected here */
}
