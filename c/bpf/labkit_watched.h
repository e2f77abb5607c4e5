/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 12: what its programs share. Whom they watch: the processes they are aimed at and their children, from the
 * moment at which `begun` is 1. Python sets it for a process that runs; for a command, its exec does.
 */
#ifndef LABKIT_WATCHED_H
#define LABKIT_WATCHED_H

#define LABKIT_FOLLOW_CHILDREN
#include "labkit.h"

BPF_ARRAY(begun, u32, 1);

static __always_inline bool is_watched(void)
{
	u32 first = 0, *yes = begun.lookup(&first);

	return yes && *yes && labkit_is_target();
}

TRACEPOINT_PROBE(sched, sched_process_exec)
{
	u32 first = 0, *yes = begun.lookup(&first);

	if (yes && labkit_is_target())
		*yes = 1;
	return 0;
}

#endif
