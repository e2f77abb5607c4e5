/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* accepted: a program for messages of a socket | kind: SK_MSG */
BPF_ARRAY(bytes, u64, 1);
int watch(struct sk_msg_md *message)
{
	int zero = 0;
	u64 *sum = bytes.lookup(&zero);

	if (sum)
		*sum += message->size;
	return SK_PASS;
}
