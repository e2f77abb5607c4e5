/* kind: uninitialised | type: SOCKET_FILTER | untrusted
 * The key was never set. */
BPF_HASH(start, u32, u64);

int rejected(struct __sk_buff *skb)
{
	u32 key;
	u64 *value = start.lookup(&key); /* rejected here */

	return value ? 1 : 0;
}
