/* kind: leak | type: SOCKET_FILTER | untrusted
 * Whoever reads the map learns an address of the kernel. */
BPF_HASH(start, u32, u64);

int rejected(struct __sk_buff *skb)
{
	u32 key = 1;
	u64 *value = start.lookup(&key);

	if (value)
		*value = (u64)skb; /* rejected here */
	return 0;
}
