/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* accepted: a raw tracepoint */
BPF_ARRAY(switches, u64, 1);
RAW_TRACEPOINT_PROBE(sched_switch)
{
	switches.increment(0);
	return 0;
}
