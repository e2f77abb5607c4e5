/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* accepted: fentry, since 5.5 | needs: fentry */
BPF_ARRAY(reads, u64, 1);
KFUNC_PROBE(vfs_read)
{
	reads.increment(0);
	return 0;
}
