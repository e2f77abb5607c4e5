/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * What every BPF program of the lab shares: whom to watch, and how to count.
 *
 * The Python side (labkit/bpf/program.py) writes `labkit_target` before it attaches anything, so the
 * same loaded program is aimed at another process without being compiled again. A file that wants the
 * watched process's children too says `#define LABKIT_FOLLOW_CHILDREN` before it includes this one.
 */
#ifndef LABKIT_H
#define LABKIT_H

#include <uapi/linux/ptrace.h>

/* ---- what was lost ---------------------------------------------------------------------------- */

/*
 * Events that are missing because a map or a ring buffer had no room, by CPU. Every update and every reservation is
 * checked, and its failure is counted here. Never silent: the Python side reads it into frame.attrs["lost_events"].
 */
BPF_PERCPU_ARRAY(labkit_lost, u64, 1);

static __always_inline void labkit_count_lost(void)
{
	int first = 0;
	u64 *lost = labkit_lost.lookup(&first);

	if (lost)
		__sync_fetch_and_add(lost, 1);	/* this CPU's slot, but a program of a uprobe or a socket can be preempted */
}

/* ---- whom to watch ---------------------------------------------------------------------------- */

enum labkit_mode {
	LABKIT_NOBODY = 0,	/* a map starts as zeros: nothing is watched by accident */
	LABKIT_ONE = 1,		/* one process */
	LABKIT_SEVERAL = 2,	/* the processes in labkit_pids */
	LABKIT_CGROUP = 3,	/* every process of one cgroup */
	LABKIT_EVERYBODY = 4,
};

struct labkit_target {
	u64 pidns_dev;		/* whose process numbers are meant: device and inode of /proc/self/ns/pid */
	u64 pidns_ino;		/* 0: the machine's own numbers */
	u64 cgroup_id;
	u32 pid;		/* user space's "process id" is the kernel's "thread group id" */
	u32 mode;
};

BPF_ARRAY(labkit_target, struct labkit_target, 1);
BPF_HASH(labkit_pids, u32, u8, 256);

/* Process id (high half) and thread id of who runs now, by the numbers that the lab itself sees. */
static __always_inline u64 labkit_pid_tid(struct labkit_target *target)
{
	struct bpf_pidns_info inside = {};

	if (target->pidns_ino == 0)
		return bpf_get_current_pid_tgid();
	/* inside a container each process has a number of its own; 0 if it lives elsewhere */
	if (bpf_get_ns_current_pid_tgid(target->pidns_dev, target->pidns_ino, &inside, sizeof(inside)))
		return 0;
	return (u64)inside.tgid << 32 | inside.pid;
}

#ifdef LABKIT_FOLLOW_CHILDREN
/* What the watched processes forked, by the machine's own numbers. */
BPF_TABLE("lru_hash", u32, u8, labkit_children, 16384);
#endif

static __always_inline bool labkit_matches(void)
{
	int first = 0;
	struct labkit_target *target = labkit_target.lookup(&first);
	u32 pid;

	if (!target)		/* the verifier insists, although slot 0 of an array is always there */
		return false;
#ifdef LABKIT_FOLLOW_CHILDREN
	pid = bpf_get_current_pid_tgid() >> 32;
	if (labkit_children.lookup(&pid))
		return true;
#endif
	switch (target->mode) {
	case LABKIT_ONE:
		return (u32)(labkit_pid_tid(target) >> 32) == target->pid;
	case LABKIT_SEVERAL:
		pid = labkit_pid_tid(target) >> 32;
		return labkit_pids.lookup(&pid) != NULL;
	case LABKIT_CGROUP:
		return bpf_get_current_cgroup_id() == target->cgroup_id;
	case LABKIT_EVERYBODY:
		return true;
	}
	return false;
}

#ifdef LABKIT_COUNTED_H		/* a learner's own program: price() tells the runs of others apart */
BPF_PERCPU_ARRAY(labkit_runs, u64, 2);
#endif

static __always_inline bool labkit_is_target(void)
{
	bool matches = labkit_matches();
#ifdef LABKIT_COUNTED_H
	int slot = matches;
	u64 *runs = labkit_runs.lookup(&slot);

	if (runs)
		*runs += 1;
#endif
	return matches;
}

/* The process and thread id to write in a record: as the lab, and its learner, see them. */
static __always_inline u64 labkit_seen_pid_tid(void)
{
	int first = 0;
	struct labkit_target *target = labkit_target.lookup(&first);

	return target ? labkit_pid_tid(target) : 0;
}

static __always_inline u32 labkit_pid(void)
{
	return labkit_seen_pid_tid() >> 32;
}

static __always_inline u32 labkit_tid(void)
{
	return labkit_seen_pid_tid();
}

#ifdef LABKIT_FOLLOW_CHILDREN
#ifdef LABKIT_CHILDREN_ARE_TOLD	/* a program with this has something to do for each child or thread, too */
static __always_inline void labkit_child_begins(u32 child);
static __always_inline void labkit_child_ended(u32 child);
#else
static __always_inline void labkit_child_begins(u32 child) { }
static __always_inline void labkit_child_ended(u32 child) { }
#endif

/* Runs in the parent, before the child does: no event of the child can be missed. */
TRACEPOINT_PROBE(sched, sched_process_fork)
{
	u32 child = args->child_pid;
	u8 yes = 1;

	if (!labkit_is_target())
		return 0;
	if (labkit_children.update(&child, &yes))
		labkit_count_lost();
	labkit_child_begins(child);
	return 0;
}

/*
 * The kernel has no more use for a process: forget its number, which the next process may get. (Not when a thread
 * exits: the first thread of a process may exit long before the others.)
 */
TRACEPOINT_PROBE(sched, sched_process_free)
{
	u32 gone = args->pid;

	if (!labkit_children.lookup(&gone))
		return 0;
	labkit_children.delete(&gone);
	labkit_child_ended(gone);
	return 0;
}
#endif

/* ---- counting --------------------------------------------------------------------------------- */

/*
 * A histogram with 64 buckets per octave (at most 0.8 % error), the same as the workloads keep:
 * below 128 each value has a bucket of its own; above, the highest seven bits choose it.
 * labkit/stats/histogram.py reads it.
 */
#define LABKIT_BUCKETS 2368	/* values up to 2^42 ns, over an hour; longer ones share the last */

static __always_inline u32 labkit_bucket(u64 value)
{
	u32 octave = 0;		/* how far to shift until seven bits are left */
	u64 high = value >> 6;

	if (high >= 1ULL << 32) { octave += 32; high >>= 32; }
	if (high >= 1 << 16) { octave += 16; high >>= 16; }
	if (high >= 1 << 8) { octave += 8; high >>= 8; }
	if (high >= 1 << 4) { octave += 4; high >>= 4; }
	if (high >= 1 << 2) { octave += 2; high >>= 2; }
	if (high >= 1 << 1) { octave += 1; }

	u32 bucket = octave * 64 + (u32)(value >> octave);

	return bucket < LABKIT_BUCKETS ? bucket : LABKIT_BUCKETS - 1;
}

#endif
