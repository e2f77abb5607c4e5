/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* accepted since 6.4, before: no hook. The tracepoint had another name. */
BPF_ARRAY(entries, u64, 1);
RAW_TRACEPOINT_PROBE(io_uring_submit_req)
{
	entries.increment(0);
	return 0;
}
