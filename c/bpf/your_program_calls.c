/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 12: every system call of a process and its children: how often, how long, how many bytes, of which file.
 *
 * A call is counted when it returns. Python writes `kinds`: what this machine's system call numbers mean.
 */
#include "labkit_watched.h"

enum {	/* bits of `kinds` */
	READS = 1, WRITES = 2,			/* moves bytes from or to the file in its first argument */
	OPENS = 4, OPENS_AT = 8,		/* its first, or second, argument is the name of the file that it opens */
	MAKES_SOCKET = 16,
	CLOSES = 32,
};

#define NAME_BYTES 96

struct started { u64 at_ns; u64 number; u64 first; u64 second; };
struct call_sum { u64 count; u64 errors; u64 total_ns; u64 max_ns; u64 bytes; };
struct file_at { u32 pid; s32 fd; };		/* a file by its number in one process */
struct file_key { u32 pid; s32 fd; char name[NAME_BYTES]; };	/* with a name, pid and fd are 0 */
struct file_name { char name[NAME_BYTES]; };
struct file_sum { u64 opens; u64 reads; u64 writes; u64 read_bytes; u64 written_bytes; u64 total_ns; };

BPF_ARRAY(kinds, u32, 1024);
BPF_PERCPU_ARRAY(calls, struct call_sum, 1024);
BPF_HASH(in_call, u32, struct started, 16384);	/* by thread */
BPF_HASH(names, struct file_at, struct file_name, 16384);
BPF_HASH(files, struct file_key, struct file_sum, 32768);
BPF_PERCPU_ARRAY(scratch, struct file_key, 1);	/* too large for the stack, with the rest */

TRACEPOINT_PROBE(raw_syscalls, sys_enter)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct started now = {};

	if (!is_watched())
		return 0;
	now.at_ns = bpf_ktime_get_ns();
	now.number = args->id;
	now.first = args->args[0];
	now.second = args->args[1];
	if (in_call.update(&tid, &now))
		labkit_count_lost();
	return 0;
}

static __always_inline void count_file(struct started *call, u32 kind, s64 result, u64 took_ns)
{
	struct file_sum zero = {}, *sum;
	struct file_at at = { .pid = labkit_pid(), .fd = call->first };
	struct file_name *name;
	struct file_key *key;
	u32 first = 0;
	bool opened = result >= 0 && kind & (OPENS | OPENS_AT | MAKES_SOCKET);

	key = scratch.lookup(&first);
	if (!key)
		return;
	__builtin_memset(key, 0, sizeof(*key));
	if (opened) {
		at.fd = result;
		if (kind & MAKES_SOCKET)
			__builtin_memcpy(key->name, "(a socket)", 11);
		else
			bpf_probe_read_user_str(key->name, NAME_BYTES,
						(void *)(kind & OPENS ? call->first : call->second));
		if (names.update(&at, (struct file_name *)key->name))
			labkit_count_lost();
	} else if (kind & CLOSES) {
		names.delete(&at);
		return;
	} else if (!(kind & (READS | WRITES))) {
		return;
	} else {
		name = names.lookup(&at);
		if (name) {
			__builtin_memcpy(key->name, name->name, NAME_BYTES);
		} else {
			key->pid = at.pid;
			key->fd = at.fd;
		}
	}
	sum = files.lookup_or_try_init(key, &zero);
	if (!sum) {
		labkit_count_lost();
		return;
	}
	__sync_fetch_and_add(&sum->total_ns, took_ns);
	if (opened) {
		__sync_fetch_and_add(&sum->opens, 1);
	} else if (kind & READS) {
		__sync_fetch_and_add(&sum->reads, 1);
		if (result > 0)
			__sync_fetch_and_add(&sum->read_bytes, result);
	} else {
		__sync_fetch_and_add(&sum->writes, 1);
		if (result > 0)
			__sync_fetch_and_add(&sum->written_bytes, result);
	}
}

TRACEPOINT_PROBE(raw_syscalls, sys_exit)
{
	u32 tid = bpf_get_current_pid_tgid(), number;
	struct started *call = in_call.lookup(&tid);
	struct started began;
	struct call_sum *sum;
	u64 took_ns;
	u32 *kind;

	if (!call)
		return 0;
	began = *call;
	in_call.delete(&tid);
	took_ns = bpf_ktime_get_ns() - began.at_ns;
	number = began.number;
	sum = calls.lookup(&number);
	kind = kinds.lookup(&number);
	if (!sum || !kind) {
		labkit_count_lost();
		return 0;
	}
	sum->count++;
	sum->total_ns += took_ns;
	if (took_ns > sum->max_ns)
		sum->max_ns = took_ns;
	if (args->ret < 0 && args->ret >= -4095)
		sum->errors++;
	else if (*kind & (READS | WRITES))
		sum->bytes += args->ret;
	if (*kind)
		count_file(&began, *kind, args->ret, took_ns);
	return 0;
}
