/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 01, find the suspect: one record each time a watched process asks to open a file.
 */
#include "labkit.h"

struct suspect_event {
	u64 time_ns;
	u32 pid;
	char path[64];
};

BPF_RINGBUF_OUTPUT(events, 64);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	struct suspect_event *event;

	if (!labkit_is_target())
		return 0;
	event = events.ringbuf_reserve(sizeof(*event));
	if (!event) {
		labkit_count_lost();
		return 0;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->pid = labkit_pid();
	/* The path is in the process's own memory: it is copied, never followed. */
	bpf_probe_read_user_str(event->path, sizeof(event->path), args->filename);
	events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}
