/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* accepted: a program for TCP connections | kind: SOCK_OPS */
BPF_ARRAY(established, u64, 1);
int watch(struct bpf_sock_ops *connection)
{
	if (connection->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		established.increment(0);
	return 0;
}
