/* kind: return | type: CGROUP_SKB
 * A cgroup program says 0 (drop) or 1 (pass). */
int rejected(struct __sk_buff *skb)
{
	return 7; /* rejected here */
}
