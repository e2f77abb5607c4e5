/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* A variable that was never set holds what the last user of the stack left there. */
BPF_HASH(sizes, u32, u64);

int look(struct __sk_buff *packet)
{
#ifdef FIXED
	u32 key = packet->protocol;
#else
	u32 key;
#endif
	u64 *size = sizes.lookup(&key);

	return size ? 1 : 0;
}
