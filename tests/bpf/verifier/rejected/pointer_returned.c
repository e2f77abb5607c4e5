/* kind: leak | type: SOCKET_FILTER | untrusted
 * The result would be a piece of an address. */
int rejected(struct __sk_buff *skb)
{
	return (int)(u64)skb; /* rejected here */
}
