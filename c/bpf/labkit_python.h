/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 12: the stack of CPython functions of the thread that runs now, read from the interpreter's own records.
 *
 * Python writes `pythons`: where those records are in a process. The interpreter needs no option and no symbols.
 */
#ifndef LABKIT_PYTHON_H
#define LABKIT_PYTHON_H

#define MOST_FRAMES 48
#define MOST_THREADS 64
#define NOT_ASCII 1		/* the first character of a name that is not read */
enum { TEXT_LENGTH = 16, TEXT_STATE = 32, ASCII = 1 << 6 };	/* fields of a str; a flag of its state */
enum { ON_C_STACK = 3 };	/* owner of a frame that is no function's */

struct python {
	u64 runtime;		/* address of _PyRuntime */
	u64 code_type;		/* address of PyCode_Type, to which every code object points */
	u64 pidns_dev, pidns_ino;	/* in which the interpreter has asked for the number of a thread */
	u32 interpreters, threads;	/* offsets of fields, until the end */
	u32 next, thread_id;
	s32 chunk;		/* of the record between thread and frame; -1: there is none */
	u32 frame;
	u32 previous, code, owner;
	u32 file, name;
	u32 text;
};
struct python_stack { u64 codes[MOST_FRAMES]; u64 is_cut; };	/* innermost first; 0: no function */
struct python_code_key { u64 number; u32 pid; u32 pad; };
struct python_code { char name[64]; char file[128]; };

BPF_HASH(pythons, u32, struct python, 256);
BPF_HASH(python_stacks, u64, struct python_stack, 8192);
BPF_HASH(python_codes, struct python_code_key, struct python_code, 16384);
BPF_PERCPU_ARRAY(python_stack_now, struct python_stack, 1);	/* too large for the stack */
BPF_PERCPU_ARRAY(python_code_now, struct python_code, 1);

static __always_inline u64 python_pointer(u64 address)
{
	u64 value = 0;

	bpf_probe_read_user(&value, sizeof(value), (void *)address);
	return value;
}

static __always_inline u64 python_thread(struct python *python)
{
	struct bpf_pidns_info inside = {};
	u64 thread;

	if (bpf_get_ns_current_pid_tgid(python->pidns_dev, python->pidns_ino, &inside, sizeof(inside)))
		return 0;
	thread = python_pointer(python_pointer(python->runtime + python->interpreters) + python->threads);
	for (int i = 0; i < MOST_THREADS && thread; i++) {
		if (python_pointer(thread + python->thread_id) == inside.pid)
			return thread;
		thread = python_pointer(thread + python->next);
	}
	return 0;
}

static __always_inline void python_text(char *to, u32 size, u64 object, u32 text)
{
	u32 state = 0;

	bpf_probe_read_user(&state, sizeof(state), (void *)(object + TEXT_STATE));
	if (state & ASCII)
		bpf_probe_read_user_str(to, size, (void *)(object + text));
	else
		to[0] = NOT_ASCII;
}

static __always_inline u64 python_mixed(u64 number, u64 with)
{
	return (number ^ with) * 0x100000001b3;	/* as FNV-1a does */
}

/* Returns the number of a function in `python_codes`: another one may get the memory of a code object that is gone. */
static __always_inline u64 python_function(struct python *python, u64 code)
{
	u64 name = python_pointer(code + python->name), file = python_pointer(code + python->file);
	struct python_code_key key = { .pid = labkit_pid() };
	struct python_code *made;
	u64 length = python_pointer(file + TEXT_LENGTH);
	u32 first = 0;

	key.number = python_mixed(python_mixed(python_mixed(code, name), file), length);
	key.number = python_mixed(key.number, python_pointer(file + python->text + length - 7));	/* the end of the path */
	if (python_codes.lookup(&key))
		return key.number;
	made = python_code_now.lookup(&first);
	if (!made)
		return 0;
	python_text(made->name, sizeof(made->name), name, python->text);
	python_text(made->file, sizeof(made->file), file, python->text);
	if (python_codes.update(&key, made))
		labkit_count_lost();
	return key.number;
}

/* Returns the number of the stack in `python_stacks`, 0 if there is none. */
static __always_inline u64 python_stack_number(void)
{
	u32 pid = labkit_pid(), first = 0;
	struct python *python = pythons.lookup(&pid);
	struct python_stack *stack = python_stack_now.lookup(&first);
	u64 frame, number = 0;

	if (!python || !stack)
		return 0;
	frame = python_thread(python);
	if (frame && python->chunk >= 0)
		frame = python_pointer(frame + python->chunk);
	if (frame)
		frame = python_pointer(frame + python->frame);
	__builtin_memset(stack, 0, sizeof(*stack));
	for (int i = 0; i < MOST_FRAMES && frame; i++) {
		u64 code = python_pointer(frame + python->code);
		u8 owner = ON_C_STACK;

		bpf_probe_read_user(&owner, sizeof(owner), (void *)(frame + python->owner));
		if (owner != ON_C_STACK && code && python_pointer(code + 8) == python->code_type) {
			stack->codes[i] = python_function(python, code);
			number = python_mixed(number, stack->codes[i]);
		}
		frame = python_pointer(frame + python->previous);
	}
	stack->is_cut = !!frame;
	if (number && !python_stacks.lookup(&number) && python_stacks.update(&number, stack))
		labkit_count_lost();
	return number;
}

#endif
