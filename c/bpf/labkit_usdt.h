/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Read the arguments of a USDT probe, wherever the compiler left them.
 *
 * The note of a probe says where: "-4@%eax 8@16(%rbp)" is four signed bytes in register eax, then eight bytes in memory,
 * 16 after what rbp points to; on 64-bit ARM "-4@w0 8@[sp, 16]". The Python side (labkit/bpf/usdt/operands.py) turns
 * each into a `struct usdt_operand`; here it is followed. So the same loaded program works for every probe of every
 * binary, on x86-64 and on aarch64.
 */
#ifndef LABKIT_USDT_H
#define LABKIT_USDT_H

#include "labkit.h"

#define USDT_PROBES 64		/* places that one program is attached to */
#define USDT_ARGUMENTS 12	/* the most that sys/sdt.h takes */

enum usdt_kind {
	USDT_UNREADABLE = 0,	/* a map starts as zeros */
	USDT_CONSTANT = 1,	/* 8@$5 */
	USDT_REGISTER = 2,	/* 8@%rax */
	USDT_MEMORY = 3,	/* 8@16(%rax,%rbx,4): at rax + rbx * 4 + 16 */
};

struct usdt_operand {
	s64 constant;
	u16 register_at;	/* where in struct pt_regs, in bytes */
	u16 index_at;
	u8 kind;
	u8 scale;		/* of the second register; 0 if there is none */
	u8 bytes;
	u8 is_signed;
};

BPF_ARRAY(labkit_operands, struct usdt_operand, USDT_PROBES * USDT_ARGUMENTS);

static __always_inline u64 usdt_register(struct pt_regs *ctx, u16 at)
{
	u64 value = 0;

	/* which register is known only now, so it is copied: the verifier wants offsets into ctx to be constants */
	bpf_probe_read_kernel(&value, sizeof(value), (void *)ctx + at);
	return value;
}

/* The number that was given to the place that runs us, when the program was attached to it. */
static __always_inline u64 usdt_place(struct pt_regs *ctx)
{
#ifndef NO_ATTACH_COOKIE
	return bpf_get_attach_cookie(ctx);
#else	/* before Linux 5.15: each place runs a copy of the program, in which its number stands instead (places.py) */
	u64 place = 0x6c61626b69740000;

	asm volatile("" : "+r"(place));	/* keep it as it is, in one instruction */
	return place;
#endif
}

/* Argument `number` (0 is the first) of the probe that runs us. Smaller integers are widened with their sign. */
static __always_inline u64 usdt_argument(struct pt_regs *ctx, u32 number)
{
	u32 slot = (u32)usdt_place(ctx) * USDT_ARGUMENTS + number;
	struct usdt_operand *operand = labkit_operands.lookup(&slot);
	u64 value, bytes, address, unused_bits;

	if (!operand)
		return 0;
	bytes = operand->bytes;
	asm volatile("" : "+r"(bytes));	/* keep it in one register: the verifier must see that what is tested is used */
	if (bytes > sizeof(value))
		return 0;
	value = operand->constant;
	if (operand->kind == USDT_REGISTER)
		value = usdt_register(ctx, operand->register_at);
	if (operand->kind == USDT_MEMORY) {
		address = operand->constant + usdt_register(ctx, operand->register_at);
		if (operand->scale)
			address += usdt_register(ctx, operand->index_at) * operand->scale;
		value = 0;
		if (bpf_probe_read_user(&value, bytes, (void *)address))
			return 0;
	}
	unused_bits = (64 - 8 * bytes) & 63;
	value <<= unused_bits;
	return operand->is_signed ? (u64)((s64)value >> unused_bits) : value >> unused_bits;
}

#endif
