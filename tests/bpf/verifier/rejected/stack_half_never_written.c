/* kind: uninitialised | type: SOCKET_FILTER | untrusted
 * The second half of the key was never set. */
struct pair {
	u64 first;
	u64 second;
};
BPF_HASH(start, struct pair, u64);

int rejected(struct __sk_buff *skb)
{
	struct pair key;
	u64 *value;

	key.first = skb->len;
	value = start.lookup(&key); /* rejected here */
	return value ? 1 : 0;
}
