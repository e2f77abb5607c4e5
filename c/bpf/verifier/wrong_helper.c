/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Each kind of program has its own list of helpers. */
int look(struct __sk_buff *packet)
{
#ifdef FIXED
	return bpf_get_prandom_u32() & 1;
#else
	return bpf_clone_redirect(packet, 1, 0);
#endif
}
