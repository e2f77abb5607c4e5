/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 10: what does an application ask of the kernel? Every system call of the watched process: how often, how
 * long, how many bytes it wrote, and, where it works on an open file, which kind of file that is.
 *
 * User space chooses the numbers of the kinds: `endings` says which file names are of which kind, by the last four
 * letters of the name. With -DEACH each single call also leaves a record in a ring buffer.
 */
#include <asm/unistd.h>	/* __NR_openat and the like: the numbers differ from one architecture to the next */
#include "labkit.h"

struct begun {
	u64 time_ns;
	u64 path;		/* of openat: where the process keeps the file's name */
	u32 number;		/* sys_exit does not always have it: a return from a signal handler has -1 there */
	u32 kind;
};

struct sum {
	u64 count;
	u64 total_ns;
	u64 written_bytes;	/* by calls that write */
};

BPF_HASH(begun, u64, struct begun, 4096);	/* process and thread -> its call that has not ended yet */
BPF_HASH(endings, u32, u32, 64);		/* the last four letters of a name -> the kind of file */
BPF_HASH(kinds, u32, u32, 65536);		/* file descriptor -> the kind of file */
BPF_HASH(sums, u64, struct sum, 4096);		/* call and kind of file */
BPF_HASH(bars, u64, u64, 65536);		/* call, kind and bucket of the histogram -> calls */

#ifdef EACH
struct call {
	u64 time_ns;
	u64 latency_ns;
	s64 returned;
	u32 number;
	u32 kind;
};

BPF_RINGBUF_OUTPUT(events, 256);

static __always_inline void record(u64 time_ns, u64 latency_ns, s64 returned, u32 number, u32 kind)
{
	struct call *event = events.ringbuf_reserve(sizeof(*event));

	if (!event) {
		labkit_count_lost();
		return;
	}
	event->time_ns = time_ns;
	event->latency_ns = latency_ns;
	event->returned = returned;
	event->number = number;
	event->kind = kind;
	events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}
#else
static __always_inline void record(u64 time_ns, u64 latency_ns, s64 returned, u32 number, u32 kind)
{
}
#endif

/* Does this call take a file descriptor first? Those that this lesson is about. */
static __always_inline bool on_file(u32 number)
{
	switch (number) {
	case __NR_read: case __NR_pread64: case __NR_write: case __NR_pwrite64: case __NR_writev:
	case __NR_fsync: case __NR_fdatasync: case __NR_ftruncate: case __NR_fallocate: case __NR_fcntl:
	case __NR_fchown: case __NR_lseek: case __NR_close:
		return true;
	}
	return false;
}

static __always_inline bool writes(u32 number)
{
	return number == __NR_write || number == __NR_pwrite64 || number == __NR_writev;
}

TRACEPOINT_PROBE(raw_syscalls, sys_enter)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct begun call = {};
	u32 number = args->id, file = args->args[0], *kind;

	if (!labkit_is_target())
		return 0;
	if (number == __NR_openat) {
		call.path = args->args[1];
	} else if (on_file(number)) {
		kind = kinds.lookup(&file);
		if (kind)
			call.kind = *kind;
		if (number == __NR_close)
			kinds.delete(&file);	/* the next file to be opened may get the same number */
	}
	call.number = number;
	call.time_ns = bpf_ktime_get_ns();	/* as late as possible */
	if (begun.update(&thread, &call))
		labkit_count_lost();	/* no room: the call is not counted, and that is said */
	return 0;
}

/* The kind of a file that has just been opened, by the end of its name; 0: none that we know. */
static __always_inline u32 opened(u32 file, u64 path)
{
	char name[256];
	u32 ending = 0, *kind = NULL;
	long length = bpf_probe_read_user_str(name, sizeof(name), (void *)path);	/* with the zero at its end */

	if (length >= 5 && !bpf_probe_read_user(&ending, sizeof(ending), (void *)(path + length - 5)))
		kind = endings.lookup(&ending);
	if (!kind) {
		kinds.delete(&file);	/* the number may have been a file's that we knew */
		return 0;
	}
	if (kinds.update(&file, kind))
		labkit_count_lost();	/* no room: later calls on this file count as of no kind */
	return *kind;
}

/* Add one call to its sum and to its bar. Several threads may be here at once, on different CPUs. */
static __always_inline void count(u32 number, u32 kind, u64 took, u64 written_bytes)
{
	u64 key = (u64)number << 8 | kind, bar = key << 32 | labkit_bucket(took), zero = 0, *calls;
	struct sum none = {}, *sum = sums.lookup_or_try_init(&key, &none);

	calls = bars.lookup_or_try_init(&bar, &zero);
	if (!sum || !calls) {
		labkit_count_lost();	/* no room: the sums are too low, and that is said */
		return;
	}
	__sync_fetch_and_add(&sum->count, 1);
	__sync_fetch_and_add(&sum->total_ns, took);
	__sync_fetch_and_add(&sum->written_bytes, written_bytes);
	__sync_fetch_and_add(calls, 1);
}

TRACEPOINT_PROBE(raw_syscalls, sys_exit)
{
	u64 now = bpf_ktime_get_ns();	/* as early as possible */
	u64 thread = bpf_get_current_pid_tgid(), took;
	struct begun *call = begun.lookup(&thread);
	u32 number, kind;
	s64 returned = args->ret;

	if (!call)
		return 0;		/* not ours, or begun before we came */
	took = now - call->time_ns;
	number = call->number;
	kind = call->kind;
	if (number == __NR_openat && returned >= 0)
		kind = opened(returned, call->path);
	begun.delete(&thread);
	count(number, kind, took, writes(number) && returned > 0 ? returned : 0);
	record(now - took, took, returned, number, kind);
	return 0;
}
