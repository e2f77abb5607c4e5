/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 12: every system call of a process and its children: how often, how long, how many bytes, of which file.
 *
 * A call is counted when it returns. Python writes `kinds`: what this machine's system call numbers mean.
 *
 * A file gets its name when it is opened. A child inherits its parent's descriptors, and so their names.
 */
#define LABKIT_CHILDREN_ARE_TOLD
#include "labkit_in_call.h"
#include <linux/socket.h>
#include <linux/net.h>

enum {	/* bits of `kinds` */
	READS = 1, WRITES = 2,			/* moves bytes from or to the file in its first argument */
	OPENS = 4, OPENS_AT = 8,		/* its first, or second, argument is the name of the file that it opens */
	MAKES_SOCKET = 16, ACCEPTS = 32,
	CONNECTS = 64, BINDS = 128,		/* its second argument is the address */
	CLOSES = 256,
	SENDS_FILE = 512,			/* to the file in its first argument, from the one in its second */
	COPIES = 1024,				/* from the file in its first argument, to the one in its third */
	DUPLICATES = 2048,			/* its result is one more descriptor of the file in its first argument */
	CONTROLS = 4096,			/* fcntl(): the same if its second argument is F_DUPFD or F_DUPFD_CLOEXEC */
	MAKES_NAMELESS = 8192,			/* its result is a descriptor of something that has no name */
	MAKES_TWO = 16384, MAKES_PAIR = 32768,	/* so are the two at its first, or fourth, argument */
	CLOSES_RANGE = 65536,			/* from its first argument to its second; with CLOSE_RANGE_CLOEXEC later */
	CLONES = 131072, CLONES_BY_STRUCT = 262144,	/* its first argument has, or points to, the flags */
};
enum { MADE = 1, TO, AT, FROM };		/* how a socket got its name */

#define NAME_BYTES 152
#define MOST_INHERITED 64	/* descriptors of a parent, from 0 on, whose names its child gets */
#define OF_A_THREAD 0x10000	/* CLONE_THREAD */
#define AT_EXEC 4		/* CLOSE_RANGE_CLOEXEC */

struct call_sum { u64 count; u64 errors; u64 total_ns; u64 max_ns; u64 bytes; };
struct file_at { u32 pid; s32 fd; };		/* a file by its number in one process, as the machine numbers them */
struct file_key { u32 pid; s32 fd; char name[NAME_BYTES]; };	/* as the lab does; with a name, pid and fd are 0 */
struct file_name { char name[NAME_BYTES]; };
struct file_room { struct file_key key; char more[2 * NAME_BYTES]; };	/* what a name has beyond is not kept */
struct socket_name {	/* in the place of a name: no file's name begins with `mark` */
	u8 mark;
	u8 how;
	u8 family;
	u8 type;
	u16 port;		/* big endian */
	char address[80];	/* 4 or 16 bytes, or the path of a Unix socket */
};
struct file_sum { u64 opens; u64 reads; u64 writes; u64 read_bytes; u64 written_bytes; u64 total_ns; };

BPF_ARRAY(kinds, u32, 1024);
BPF_PERCPU_ARRAY(calls, struct call_sum, 1024);
BPF_HASH(names, struct file_at, struct file_name, 16384);
BPF_HASH(files, struct file_key, struct file_sum, 32768);
BPF_PERCPU_ARRAY(scratch, struct file_room, 1);	/* too large for the stack, with the rest */

/*
 * The name of a file as the program gave it; below the folder of openat(2), if that was opened before. A name that is
 * too long has a letter at its end, in the place of the zero.
 */
static __always_inline void read_path(struct file_room *room, struct started *call, u32 kind)
{
	struct file_at at = { .pid = bpf_get_current_pid_tgid() >> 32, .fd = call->first };
	struct file_name *folder = kind & OPENS ? NULL : names.lookup(&at);
	void *path = (void *)(kind & OPENS ? call->first : call->second);
	char *name = room->key.name, letter = '/';
	u64 bytes;

	bpf_probe_read_user(&letter, 1, path);
	if (folder && letter != '/') {
		bytes = bpf_probe_read_kernel_str(name, NAME_BYTES, folder->name);	/* with the zero, or an error: large */
		if (bytes < NAME_BYTES) {
			asm volatile("%0 &= 0xff" : "+r"(bytes));	/* for the verifier; the compiler would drop it */
			name[bytes - 1] = '/';
			bpf_probe_read_user_str(name + bytes, NAME_BYTES, path);
			return;
		}
	}
	bpf_probe_read_user_str(name, NAME_BYTES + 1, path);
}

static __always_inline void read_address(struct socket_name *name, u64 at)
{
	struct { u16 family; u16 port; } head = {};

	if (!at || bpf_probe_read_user(&head, sizeof(head), (void *)at))
		return;
	name->family = head.family;
	if (head.family == AF_UNIX) {
		bpf_probe_read_user_str(name->address, sizeof(name->address), (void *)(at + 2));
		return;
	}
	name->port = head.port;
	if (head.family == AF_INET)
		bpf_probe_read_user(name->address, 4, (void *)(at + 4));
	else if (head.family == AF_INET6)
		bpf_probe_read_user(name->address, 16, (void *)(at + 8));
}

/* A new socket, or what is known of it after connect() or bind(). */
static __always_inline void name_socket(struct socket_name *name, struct started *call, u32 kind)
{
	name->mark = 1;
	if (kind & MAKES_SOCKET) {
		name->how = MADE;
		name->family = call->first;
		name->type = call->second & 15;		/* without SOCK_NONBLOCK and SOCK_CLOEXEC */
		return;
	}
	name->how = kind & ACCEPTS ? FROM : kind & BINDS ? AT : TO;
	read_address(name, call->second);
	if (kind & ACCEPTS) {
		name->type = SOCK_STREAM;
		name->port = 0;				/* each client has another one */
	}
}

static __always_inline void rename_socket(struct file_at *at, struct started *call, u32 kind, s64 result)
{
	struct file_name *name = names.lookup(at);

	if (name && (!result || result == -EINPROGRESS))
		name_socket((struct socket_name *)name->name, call, kind);
}

static __always_inline void name_duplicate(struct file_key *key, struct file_at at, s64 result)
{
	struct file_name *name = names.lookup(&at);

	at.fd = result;
	if (!name) {
		names.delete(&at);
		return;
	}
	__builtin_memcpy(key->name, name->name, NAME_BYTES);
	if (names.update(&at, (struct file_name *)key->name))
		labkit_count_lost();
}

/* Has no names any more of descriptors that were closed, or that have become something without a name. */
static __always_inline void forget_names(struct file_at *at, struct started *call, u32 kind)
{
	s32 two[2] = {};

	if (kind & CLOSES_RANGE) {
		for (u32 step = 0; step < MOST_INHERITED && call->first + step <= call->second; step++) {
			at->fd = call->first + step;
			names.delete(at);
		}
		return;
	}
	bpf_probe_read_user(two, sizeof(two), (void *)(kind & MAKES_TWO ? call->first : call->fourth));
	at->fd = two[0];
	names.delete(at);
	at->fd = two[1];
	names.delete(at);
}

static __always_inline bool starts_thread(void)
{
	u32 tid = bpf_get_current_pid_tgid(), number, *kind;
	struct started *call = in_call.lookup(&tid);
	u64 flags = 0;

	if (!call)
		return false;
	number = call->number;
	kind = kinds.lookup(&number);
	if (kind && *kind & CLONES)
		flags = call->first;
	else if (kind && *kind & CLONES_BY_STRUCT)
		bpf_probe_read_user(&flags, sizeof(flags), (void *)call->first);
	return flags & OF_A_THREAD;
}

/* What the parent closes or opens from now on is no business of the child's: so it gets a copy. */
static __always_inline void labkit_child_begins(u32 child)
{
	struct file_at mine = { .pid = bpf_get_current_pid_tgid() >> 32 }, its = { .pid = child };

	if (starts_thread())
		return;
	for (int fd = 0; fd < MOST_INHERITED; fd++) {
		struct file_name *name;

		mine.fd = its.fd = fd;
		name = names.lookup(&mine);
		if (name && names.update(&its, name))
			labkit_count_lost();
	}
}

static __always_inline void labkit_child_ended(u32 child)
{
	struct file_at its = { .pid = child };

	for (int fd = 0; fd < MOST_INHERITED; fd++) {
		its.fd = fd;
		names.delete(&its);
	}
}

static __always_inline void count_file(struct started *call, u32 kind, s64 result, u64 took_ns)
{
	struct file_sum zero = {}, *sum;
	struct file_at at = { .pid = bpf_get_current_pid_tgid() >> 32, .fd = call->first };
	struct file_name *name;
	struct file_room *room;
	struct file_key *key;
	u32 first = 0;
	bool opened = result >= 0 && kind & (OPENS | OPENS_AT | MAKES_SOCKET | ACCEPTS);

	room = scratch.lookup(&first);
	if (!room)
		return;
	key = &room->key;
	__builtin_memset(key, 0, sizeof(*key));
	if (opened) {
		at.fd = result;
		if (kind & (MAKES_SOCKET | ACCEPTS))
			name_socket((struct socket_name *)key->name, call, kind);
		else
			read_path(room, call, kind);
		if (names.update(&at, (struct file_name *)key->name))
			labkit_count_lost();
	} else if (kind & (DUPLICATES | CONTROLS)) {
		if (result >= 0 && (kind & DUPLICATES || call->second == 0 || call->second == 1030))
			name_duplicate(key, at, result);
		return;
	} else if (kind & (CONNECTS | BINDS)) {
		rename_socket(&at, call, kind, result);
		return;
	} else if (kind & (CLOSES | MAKES_NAMELESS)) {
		if (kind & MAKES_NAMELESS)
			at.fd = result;
		names.delete(&at);
		return;
	} else if (kind & (MAKES_TWO | MAKES_PAIR | CLOSES_RANGE)) {
		if (!result && !(kind & CLOSES_RANGE && call->third & AT_EXEC))
			forget_names(&at, call, kind);
		return;
	} else if (!(kind & (READS | WRITES))) {
		return;
	} else {
		name = names.lookup(&at);
		if (name) {
			__builtin_memcpy(key->name, name->name, NAME_BYTES);
		} else {
			key->pid = labkit_pid();
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
	struct started began;
	struct call_sum *sum;
	u64 took_ns;
	u32 number, *kind;

	if (!take_call(&began))
		return 0;
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
	else if (*kind & (READS | WRITES | SENDS_FILE | COPIES))
		sum->bytes += args->ret;
	if (*kind & (SENDS_FILE | COPIES)) {
		count_file(&began, *kind & COPIES ? READS : WRITES, args->ret, took_ns);
		began.first = *kind & COPIES ? began.third : began.second;
		count_file(&began, *kind & COPIES ? WRITES : READS, args->ret, took_ns);
	} else if (*kind) {
		count_file(&began, *kind, args->ret, took_ns);
	}
	return 0;
}
