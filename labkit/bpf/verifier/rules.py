"""What the verifier may say at the end, what that means, and the usual mend: one table.

The patterns are the wording of kernel/bpf/verifier.c, from 5.15 to 6.18. The first rule that fits is taken, so the
special stand before the general. What no rule fits is shown as the kernel said it.

Texts may name the parts of a pattern, such as {reg}, and these: {helper} is the function that is called, {argument}
says which of its arguments {reg} holds, {subject} is the index, offset or size in question, {expected_words} is
{expected} in plain words, {context} what is done to the context, {worst} how far an access reaches at worst.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["GIVEN_BACK", "INVALID_NOW", "NULL_HERE", "RULES", "TOO_LARGE_STACK", "Rule"]


@dataclass(frozen=True)
class Rule:
    """One family of rejections."""

    kind: str
    patterns: tuple[str, ...]
    what: str
    needed: str
    mend: str
    when: Callable[[re.Match[str]], bool] = lambda found: True

    def match(self, said: str) -> re.Match[str] | None:
        """Return the match of a line that the verifier said, if it is of this family."""
        matches = (re.match(pattern, said) for pattern in self.patterns)
        return next((found for found in matches if found and self.when(found)), None)


STACK_BYTES = 512  # MAX_BPF_STACK


_TEST_NULL = "test the pointer before its first use, for example: if (!p) return 0;"
_NOT_NULL = "a pointer that cannot be NULL on this path"
_LIMIT = "limit it just before its use: if (i >= N) return 0; with an unsigned i (or: i &= N - 1;)"
_INSIDE = "an address that stays inside the memory for each value that is possible{worst}"
_PROBE_READ = "copy it with bpf_probe_read_kernel() or bpf_probe_read_user(), and use the copy"
_BY_NAME = "use the fields of the context by name: args->id, ctx->di"
_NO_POINTER = "store or compare what the pointer points to, not the pointer"
_GIVE_BACK = "give back on each path what was taken: submit or discard the record, release the socket"
_ALL_RETURNED = "each reserved record submitted or discarded, each socket released, before the program returns"
_MANUAL = "see bpf-helpers(7) for what this helper takes, and which kinds of program may call it"

TOO_LARGE_STACK = Rule(
    "stack",
    (r"combined stack size of", r"stack size of subprog", r"stack size \d+"),
    "the variables on the stack need more than 512 bytes",
    "at most 512 bytes of stack, all called functions together",
    "put the large variable into a BPF_PERCPU_ARRAY of one entry",
)

RULES: tuple[Rule, ...] = (
    # -- a pointer that may be NULL
    Rule(
        "null",
        (r"R(?P<reg>\d+) invalid mem access '\w*or_null\w*'",),
        "a pointer that may be NULL is used before it was tested",
        _NOT_NULL,
        _TEST_NULL,
    ),
    Rule(
        "null",
        (
            r"R(?P<reg>\d+) type=\w*or_null\w* expected=",
            r"Possibly NULL pointer passed to (?:helper|trusted) arg(?P<reg>\d+)",
        ),
        "{helper} gets a pointer that may be NULL as {argument}",
        _NOT_NULL,
        _TEST_NULL,
    ),
    Rule(
        "null",
        (r"R(?P<reg>\d+) pointer arithmetic on \w*or_null\w* prohibited",),
        "a pointer that may be NULL is moved before it was tested",
        _NOT_NULL,
        _TEST_NULL,
    ),
    # -- what was never set
    Rule(
        "uninitialised",
        (r"R(?P<reg>0) !read_ok",),
        "the program's result was never set on this path",
        "a value in R0, the register of the result",
        "set the variable where it is declared, and return a value on each path",
    ),
    Rule(
        "uninitialised",
        (r"R(?P<reg>\d+) !read_ok",),
        "a value is used that was never set on this path",
        "a value in R{reg}",
        "set the variable where it is declared: u64 x = 0;",
    ),
    Rule(
        "uninitialised",
        (r"invalid (?:indirect )?read from stack (?:R\d+ )?off -?\d+\+(?P<at>\d+) size (?P<size>\d+)",),
        "bytes on the stack are read that were never written",
        "all {size} bytes written before; byte {at} (counted from 0) was not, which may be padding inside a struct",
        "set the whole variable, padding too: struct event e = {{}}; or __builtin_memset(&e, 0, sizeof(e))",
    ),
    Rule(
        "uninitialised",
        (r"invalid read from stack R(?P<reg>\d+) off=(?P<off>-\d+) size=(?P<size>\d+)",),
        "bytes on the stack are read that were never written",
        "all {size} bytes written before",
        "set the whole variable where it is declared: u32 key = 0;",
        # since 6.8 the same words as for an access that leaves the stack
        when=lambda found: int(found["off"]) >= -STACK_BYTES and int(found["off"]) + int(found["size"]) <= 0,
    ),
    Rule(
        "uninitialised",
        (r"invalid (?:indirect )?read from stack (?:R\d+ )?var_off",),
        "bytes on the stack are read that were never written",
        "all bytes that the index can reach written before",
        "set the whole array where it is declared: char a[N] = {{}};",
    ),
    # -- memory and its bounds
    Rule(
        "bounds",
        (r"R(?P<reg>\d+) unbounded memory access", r"R(?P<reg>\d+) max value is outside of the allowed memory range"),
        "{subject} has no upper limit that the verifier knows, or too high a one",
        _INSIDE,
        _LIMIT,
    ),
    Rule(
        "bounds",
        (r"R(?P<reg>\d+) min value is negative",),
        "{subject} may be negative",
        _INSIDE,
        _LIMIT,
    ),
    Rule(
        "bounds",
        (r"invalid access to map value, value_size=",),
        "the access reaches outside a map's value",
        "an access inside the value{worst}",
        "stay inside: if (i >= N) return 0; or make the value of the map larger",
    ),
    Rule(
        "bounds",
        (r"invalid access to memory, mem_size=",),
        "the access reaches outside its memory",
        "an access inside the memory{worst}",
        "stay inside, or ask for as many bytes as are used",
    ),
    Rule(
        "bounds",
        (r"invalid access to map key", r"R(?P<reg>\d+) invalid \S+ buffer access"),
        "the access reaches outside its memory",
        _INSIDE,
        _LIMIT,
    ),
    Rule(
        "bounds",
        (r"R(?P<reg>\d+) min value is outside of the allowed memory range",),
        "an address may lie before the start of its memory",
        _INSIDE,
        _LIMIT,
    ),
    Rule(
        "bounds",
        (r"(?:R(?P<reg>\d+) )?invalid zero-sized read",),
        "the size that {helper} gets may be 0",
        "a size of at least 1",
        "test the size before: if (!n) return 0;",
    ),
    Rule(
        "packet",
        (
            r"invalid access to packet, .*R(?P<reg>\d+)\(",
            r"invalid access to packet",
            r"R(?P<reg>\d+) offset is outside of the packet",
        ),
        "the packet may be shorter than this access reaches",
        "a comparison with the packet's end that covers the access",
        "compare with the end first: if ((void *)(p + 1) > data_end) return 0;",
    ),
    # -- the stack
    Rule(
        "stack",
        (
            r"math between fp pointer and (?:-?\d+|register)",
            r"value -?\d+ makes fp pointer be out of bounds",
            r"invalid(?: unbounded)? variable-offset.* stack R(?P<reg>\d+)",
            r"R(?P<reg>\d+) variable stack access prohibited for !root",
            r"R(?P<reg>\d+).* variable offset stack access prohibited for !root",
        ),
        "an index into an array on the stack may leave the array",
        "an index that the verifier knows to be inside",
        _LIMIT,
    ),
    Rule(
        "stack",
        (r"invalid.* stack R(?P<reg>\d+) off=(?P<off>-?\d+) size=(?P<size>\d+)",),
        "the access leaves the program's stack",
        "an access inside the 512 bytes below the top of the stack; this one is {size} bytes at {off} from the top",
        "stay inside the variable: check the index and the size",
    ),
    TOO_LARGE_STACK,
    Rule(
        "stack",
        (r"the call stack of \d+ frames is too deep",),
        "functions call each other too deeply",
        "at most 8 calls deep",
        "make the functions `static inline`",
    ),
    Rule(
        "stack",
        (
            r"attempt to corrupt spilled pointer on stack",
            r"invalid size of register (?:fill|spill)",
            r"leaking pointer from stack",
            r"cannot spill pointers to stack",
            r"cannot return stack pointer to the caller",
        ),
        "a pointer that is kept on the stack is changed or copied in part",
        "a pointer read back whole, as it was stored",
        "copy pointers by plain assignment",
    ),
    # -- the context
    Rule(
        "context",
        (r"invalid bpf_context access off=(?P<off>-?\d+) size=(?P<size>\d+)",),
        "{context}",
        "an access that this kind of program may make to its context; this one is {size} bytes from byte {off} on",
        "read a field of the context by its name, and copy it to a variable to change it",
    ),
    Rule(
        "context",
        (r"(?:dereference of modified|negative offset) ctx ptr R(?P<reg>\d+)", r"cannot pass in ctx at an offset"),
        "the context's address was moved before it was used",
        "the context as it was passed, with a fixed offset",
        _BY_NAME,
    ),
    Rule(
        "context",
        (r"variable ctx access var_off=", r"invalid variable-offset ctx"),
        "the context is read at an offset that is not fixed",
        "an offset that is fixed when the program is compiled",
        "use the fields by name, or a switch over the index",
    ),
    Rule(
        "context",
        (r"BPF_(?:ATOMIC|XADD|ST) stores into R(?P<reg>\d+) ctx is not allowed",),
        "the program writes to its context",
        "an access that this kind of program may make to its context",
        "copy the field to a variable and change that",
    ),
    # -- pointers that go where they must not
    Rule(
        "leak",
        (r"R(?P<reg>\d+) leaks addr (?:as|into) (?P<into>.+)",),
        "an address of the kernel would be shown to whoever reads the {into}",
        "a number: an address tells who reads it where the kernel's memory lies",
        _NO_POINTER,
    ),
    Rule(
        "leak",
        (
            r"R(?P<reg>\d+) partial copy of pointer",
            r"R(?P<reg>\d+) sign-extension part of pointer",
            r"R(?P<reg>\d+) pointer comparison prohibited",
        ),
        "a pointer is used as if it were a number",
        "a number, or the whole pointer",
        _NO_POINTER,
    ),
    # -- arithmetic on pointers
    Rule(
        "arithmetic",
        (
            r"R(?P<reg>\d+) bitwise operator \S+ on pointer prohibited",
            r"R(?P<reg>\d+) pointer arithmetic with \S+ operator prohibited",
            r"R(?P<reg>\d+) pointer \S+ pointer prohibited",
            r"R(?P<reg>\d+) tried to subtract pointer from scalar",
            r"R(?P<reg>\d+) subtraction from stack pointer prohibited",
            r"R(?P<reg>\d+) 32-bit pointer arithmetic prohibited",
        ),
        "an operation that pointers do not have",
        "adding a number to a pointer or subtracting one, in 64 bits, and nothing else",
        "compute with numbers first, and add the result to the pointer",
    ),
    Rule(
        "arithmetic",
        (r"R(?P<reg>\d+) pointer arithmetic(?: on \w+)? prohibited",),
        "a pointer is moved that must stay as it is",
        "the pointer as it was given",
        "leave the pointer alone; compute with what it points to",
    ),
    Rule(
        "bounds",
        (
            r"math between \w+ pointer and",
            r"value -?\d+ makes \w+ pointer be out of bounds",
            r"R(?P<reg>\d+) pointer arithmetic of map value goes out of range",
            r"R(?P<reg>\d+) stack pointer arithmetic goes out of range",
            r"R(?P<reg>\d+) tried to \w+ beyond pointer bounds",
            r"R(?P<reg>\d+) has unknown scalar with mixed signed bounds",
        ),
        "a pointer is moved by a number that may take it out of its memory",
        "a number that the verifier knows to be small and not negative",
        _LIMIT,
    ),
    Rule(
        "arithmetic",
        (r"frame pointer is read only",),
        "the frame pointer is changed",
        "R10 as it is",
        "declare a variable and use its address",
    ),
    # -- numbers used as addresses, and memory of the kernel
    Rule(
        "pointer",
        (r"R(?P<reg>\d+) invalid mem access '(?:scalar|inv)'",),
        "a number is used as an address",
        "a pointer whose origin the verifier knows: the context, the stack, a map's value",
        _PROBE_READ,
    ),
    Rule(
        "pointer",
        (
            r"R(?P<reg>\d+) invalid mem access 'map_ptr'",
            r"only read from \S+ is supported",
            r"map_ptr access not supported",
            r"cannot access ptr member \S+ with moff \d+ in struct bpf_map",
        ),
        "the map itself is used as if it were memory",
        "a pointer to one of the map's values",
        "use the map's methods: map.lookup(&key), map.update(&key, &value)",
    ),
    Rule(
        "pointer",
        (r"R(?P<reg>\d+) invalid mem access '\w+'",),
        "memory is accessed through a pointer that is not for that",
        "a pointer to memory: the stack, a map's value, a ring-buffer record",
        "use the helper or the method that this pointer is for",
    ),
    Rule(
        "pointer",
        (
            r"access beyond struct \w+",
            r"access beyond the end of member",
            r"cannot access ptr member",
            r"struct \w+ doesn't have field at offset",
            r"only read is supported",
            r"R(?P<reg>\d+) is ptr_\w+ (?:access (?:user|percpu) memory|invalid (?:negative access|variable offset))",
        ),
        "a struct of the kernel is accessed in a way that its type does not allow",
        "a read of one whole field of that struct",
        _PROBE_READ,
    ),
    Rule(
        "read-only",
        (
            r"write into map forbidden",
            r"R(?P<reg>\d+) cannot write into \w+",
            r"write to change key R(?P<reg>\d+) not allowed",
            r"cannot write into packet",
            r"the prog does not allow writes to packet data",
        ),
        "the program changes memory that it may only read",
        "memory that the program may change",
        "copy it to a variable and change the copy",
    ),
    Rule(
        "read-only",
        (r"read from map forbidden",),
        "the program reads a map that it may only write",
        "a map that programs may read",
        "make the map without BPF_F_WRONLY_PROG",
    ),
    # -- references
    Rule(
        "reference",
        (r"Unreleased reference id=\d+ alloc_insn=(?P<insn>\d+)",),
        "what {helper} gave here is not given back on every path",
        _ALL_RETURNED,
        _GIVE_BACK,
    ),
    Rule(
        "reference",
        (r".* would lead to reference leak", r".* cannot be mixed with socket references"),
        "something that was taken is not given back on this path",
        _ALL_RETURNED,
        _GIVE_BACK,
    ),
    Rule(
        "reference",
        (
            r"func \w+#\d+ reference has not been acquired before",
            r"R(?P<reg>\d+) must be referenced when passed to release function",
            r"arg \d+ is an unacquired reference",
        ),
        "{helper} gives back something that was not taken, or was given back before",
        "a pointer that came from the matching call and was not given back yet",
        "give back once, and only what was taken",
    ),
    Rule(
        "reference",
        (
            r"R(?P<reg>\d+) must have zero offset when passed to release func",
            r"dereference of modified (?!ctx)\w+ ptr R(?P<reg>\d+)",  # as 6.1 says it
        ),
        "{helper} gets a pointer that was moved",
        "the pointer as it was returned",
        "keep the first pointer for giving it back",
    ),
    # -- loops and size
    Rule(
        "loop",
        (r"back-edge from insn (?P<insn>\d+) to \d+",),
        "a loop, where none is allowed",
        "no jump backwards",
        "unroll it (#pragma unroll) with a count that is fixed when the program is compiled",
    ),
    Rule(
        "loop",
        (r"infinite loop detected at insn (?P<insn>\d+)",),
        "a round of the loop may change nothing, so it may never end",
        "a counter that changes in each round and a limit that the verifier knows",
        "loop up to a constant: for (int i = 0; i < 64; i++)",
    ),
    Rule(
        "loop",
        (r"BPF program is too large. Processed (?P<count>\d+) insn",),
        "the verifier gave up here after {count} instructions: too many rounds of a loop, or too many branches",
        "at most a million instructions, all paths together",
        "lower the loop's limit, keep branches out of its body, or use bpf_loop()",
    ),
    Rule(
        "loop",
        (r"The sequence of (?P<count>\d+) jumps is too complex",),
        "the verifier gave up here: {count} branches were still to be looked at",
        "at most 8192 branches that wait",
        "lower the loop's limit, or keep branches out of its body",
    ),
    # -- helpers, licence, types
    Rule(
        "licence",
        (
            r"cannot call (?:GPL-restricted|kernel) function from non-GPL compatible program",
            r"struct ops programs must have a GPL compatible license",
            r"Cannot access kernel '.*' from non-GPL compatible program",
        ),
        "{helper} is only for programs whose licence is compatible with the GPL",
        "a licence that is compatible with the GPL",
        "say so: #define BPF_LICENSE GPL (or: Dual BSD/GPL)",
    ),
    Rule(
        "helper",
        (
            r"unknown func (?P<name>\w+)#\d+",
            r"program of this type cannot use helper (?P<name>\w+)#\d+",
            r"func (?P<name>\w+)#\d+ (?:not supported for program type|supported only for)",
        ),
        "this kind of program may not call {name}",
        "a helper that this kind of program may call",
        _MANUAL,
    ),
    Rule(
        "helper",
        (r"invalid func unknown#", r"call to invalid destination", r"helper call is not allowed in probe"),
        "a function is called that this kernel does not know",
        "a helper of this kernel, or a function of the program itself",
        "define the function in this file; for a helper see bpf-helpers(7)",
    ),
    Rule(
        "helper",
        (r"cannot pass map_type \d+ into func (?P<name>\w+)#\d+", r"expected prog array map for (?P<name>tail call)"),
        "{name} is not for a map of this type",
        "a map of a type that the helper is for",
        _MANUAL,
    ),
    Rule(
        "helper",
        (
            r"helper call might sleep in a non-sleepable prog",
            r"sleepable helper \S+ in",
            r"program must be sleepable",
            r"calling kernel functions? \S* ?(?:is|are) not allowed",
        ),
        "a function is called that is not allowed at this place",
        "a function that this kind of program may call",
        _MANUAL,
    ),
    Rule(
        "type",
        (r"R(?P<reg>\d+) type=\w+ expected=(?P<expected>.*)",),
        "{helper} gets the wrong kind of thing as {argument}",
        "{expected_words}",
        "pass what the helper asks for, such as &variable; see bpf-helpers(7)",
    ),
    Rule(
        "type",
        (
            r"R(?P<reg>\d+) is of type .* but .* is expected",
            r"R(?P<reg>\d+) doesn't point to",
            r"R(?P<reg>\d+) does not point to a readonly map",
            r"R(?P<reg>\d+) is not a scalar",
        ),
        "{helper} gets the wrong kind of thing as {argument}",
        "the kind of thing that the helper asks for",
        "pass what the helper asks for; see bpf-helpers(7)",
    ),
    Rule(
        "type",
        (
            r"R(?P<reg>\d+) is not a (?:known )?const",
            r"R(?P<reg>\d+) must be a known constant",
            r"R(?P<reg>\d+) unknown (?:scalar|size)",
            r"R(?P<reg>\d+) doesn't have constant offset",
        ),
        "{helper} needs a constant as {argument}",
        "a number that is fixed when the program is compiled",
        "write a number, or sizeof",
    ),
    # -- locks
    Rule(
        "lock",
        (
            r"function calls are not allowed while holding a lock",
            r"bpf_spin_(?:un)?lock ",
            r".*inside bpf_spin_lock-ed region",
            r"Locking two bpf_spin_locks",
            r".*progs cannot use bpf_(?:spin_lock|timer)",
            r"map '.*' has (?:no valid|to have BTF|more than one).*bpf_(?:spin_lock|timer)",
            r"map '.*' (?:doesn't have|is not a struct type).*bpf_(?:spin_lock|timer)",
            r"bpf_(?:spin_lock|timer|wq) cannot be accessed directly by load/store",
            r"off -?\d+ doesn't point to 'struct bpf_(?:spin_lock|timer|wq)'",
            r"bpf_\w+ has to be at (?:a|the) constant offset",
        ),
        "a bpf_spin_lock or a timer is used where or how it is not allowed",
        "a lock that lies in a map's value and is held for a few plain instructions, without calls",
        "unlock on each path, and call nothing between lock and unlock",
    ),
    # -- results, alignment, odd programs
    Rule(
        "return",
        (
            r"At (?:program|subprogram) exit the register R(?P<reg>0) .*should have been in (?P<range>.*)",
            r"At (?:program|subprogram) exit the register R(?P<reg>0) (?P<range>)",
        ),
        "the program returns a value that is not allowed for its kind",
        "a value that this kind of program may return, from the range {range}",
        "return an allowed number on each path; 0 is nearly always one",
    ),
    Rule(
        "alignment",
        (r"misaligned .*access off .* size (?P<size>\d+)",),
        "{size} bytes are accessed at an address that need not be a multiple of {size}",
        "an address that is a multiple of {size}",
        "use smaller pieces, or __builtin_memcpy()",
    ),
    Rule(
        "program",
        (r"div by zero",),
        "a division by the constant 0",
        "another divisor",
        "test the divisor before the division",
    ),
    Rule(
        "program",
        (r"invalid shift (?P<by>-?\d+)",),
        "a shift by {by} bits",
        "a shift by fewer bits than the number has",
        "limit the shift: x << (n & 63)",
    ),
    Rule(
        "program",
        (
            r"unreachable insn (?P<insn>\d+)",
            r"last insn is not an exit or jmp",
            r"jump out of range from insn (?P<insn>\d+) to \d+",
            r"invalid insn idx \d+ insn_cnt \d+",
        ),
        "the program can run off its end, or holds code that nothing reaches",
        "a return at the end of each path",
        "return a value on each path; clang drops the code after what C leaves undefined",
    ),
)

# -- where the kernel says "a number" of what was a pointer before
NULL_HERE = Rule(
    "null",
    (),
    "the pointer is used on a path where it is NULL",
    _NOT_NULL,
    "look at the test: on this path the pointer is NULL",
)
GIVEN_BACK = Rule(
    "reference",
    (),
    "what was given back before is used again",
    "a pointer to memory that the program still holds",
    "move the last use before the submit, discard or release, and give back once",
)
INVALID_NOW = Rule(
    "pointer",
    (),
    "a pointer is used that a call in between has made invalid",
    "a pointer that was taken after that call",
    "take the pointer, and test it, again after the call",
)
