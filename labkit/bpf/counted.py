# SPDX-License-Identifier: Apache-2.0
"""Make the text of a learner's program count what it loses, and say in its BTF what its records are.

Two things are added. Before it: `c/bpf/labkit_counted.h`, whose macros look at the result of each update and of each
record. At each record: a variable of the record's type, so that clang writes the type into the program's BTF. The
variable is in no map and takes no room on the stack.

Every character of the learner's own stays at its line and column (`#line`, and blanks before it), so clang's words
about them stay true.
"""

from __future__ import annotations

import re
from dataclasses import replace

from labkit.bpf.diagnose.code import Code, split_call
from labkit.bpf.text import BPF_FOLDER, Source

__all__ = ["MARKED", "counted", "marked"]

_VARIABLE = "labkit_record_"
# with N_NAME after it, the struct whose `value` has the type of the Nth record, sent to the buffer NAME. BCC leaves
# structs of such names, and such sections, in the BTF
MARKED = f"____btf_map_{_VARIABLE}"
_STORES = re.compile(
    r"\.\s*(ringbuf_output|ringbuf_reserve|perf_submit(_skb)?|(atomic_)?increment|update|insert|lookup_or_(try_)?init)\s*\("
)
_SENDS = re.compile(r"\b(\w+)\s*\.\s*(ringbuf_output|ringbuf_reserve|perf_submit|perf_submit_skb)\s*\(")
_LINE = re.compile(r'^#line (\d+) "(.*)"$')
_RECORD = {"ringbuf_output": 0, "ringbuf_reserve": None, "perf_submit": 1, "perf_submit_skb": 2}


def counted(source: Source) -> Source:
    """Return the source with its losses counted and its records named; the same one where it stores nothing."""
    if not _STORES.search(Code(source.text).bare):
        return source
    preamble = (BPF_FOLDER / "labkit_counted.h").read_text(encoding="utf-8")
    head = f'#line 1 "{BPF_FOLDER / "labkit_counted.h"}"\n{preamble}\n'
    return replace(source, text=head + marked(source.text, str(source.path)))


def marked(text: str, path: str) -> str:
    """Return a text whose every record, of the lines that `#line` gives to `path`, has its type in the BTF."""
    bare, made, done = Code(text).bare, [], 0
    for number, found in enumerate(_SENDS.finditer(bare)):
        arguments, end = split_call(bare, found.end())
        place = _place(text, found.start())
        if end < 0 or place is None or place[1] != path or _in_directive(bare, found.start()):
            continue
        record = _type(found[2], arguments, bare[: found.start()])
        if record is None:
            continue
        after = _place(text, end + 1)
        assert after is not None  # it is behind the first one
        made += [
            text[done : found.start()],
            f"({{ {_mark(found[1], number, record)}\n",
            _at(text, found.start(), place),
        ]
        made += [text[found.start() : end + 1], "; })\n", _at(text, end + 1, after)]
        done = end + 1
    return "".join([*made, text[done:]])


def _mark(buffer: str, number: int, record: str) -> str:
    name, kind = f"{_VARIABLE}{number}_{buffer}", f"struct {MARKED}{number}_{buffer}"
    return (
        f'{kind} {{ u32 key; {record} value; }}; static {kind} {name} __attribute__((section(".maps.{name}"), used));'
    )


def _type(method: str, arguments: list[str], before: str) -> str | None:
    """Return the C type of a record from the arguments of the call that sends it; None where it says none."""
    at = _RECORD[method]
    size = re.fullmatch(r"sizeof\s*(.*)", arguments[-1 if at != 0 else 1 if len(arguments) > 1 else 0], re.DOTALL)
    if at is None:
        size = re.fullmatch(r"sizeof\s*(.*)", arguments[0], re.DOTALL) if arguments else None
        if size is None:  # struct e *e = events.ringbuf_reserve(40)
            taker = re.search(r"(\w+)\s*=\s*(\([^()]*\)\s*)?$", before)
            return _pointed(taker[1]) if taker else None
        return _measured(size[1])
    if at >= len(arguments):
        return None
    if size is not None and not arguments[at].startswith("&"):
        return _measured(size[1])
    return _pointed(arguments[at])


def _measured(operand: str) -> str:
    """Return the type of what is after `sizeof`: a type in brackets, or an expression."""
    is_whole = operand.startswith("(") and split_call(operand, 1)[1] == len(operand) - 1
    return f"__typeof__{operand}" if is_whole else f"__typeof__({operand})"


def _pointed(pointer: str) -> str:
    """Return the type that an expression points to, and char where it points to anything."""
    is_void = f"__builtin_types_compatible_p(__typeof__({pointer}), void *)"
    return f"__typeof__(__builtin_choose_expr({is_void}, (char)0, *({pointer})))"


def _in_directive(bare: str, position: int) -> bool:
    """Return whether a position is in a line of the preprocessor, or in one that continues it."""
    start = bare.rfind("\n", 0, position)
    while start > 0 and bare[start - 1] == "\\":
        start = bare.rfind("\n", 0, start)
    return bare[start + 1 : position].lstrip().startswith("#")


def _place(text: str, position: int) -> tuple[int, str] | None:
    """Return the line and the file of a position, as the `#line` before it says."""
    lines = text[:position].split("\n")
    for back, line in enumerate(reversed(lines[:-1]), start=1):
        if told := _LINE.match(line):
            return int(told[1]) + back - 1, told[2]
    return None


def _at(text: str, position: int, place: tuple[int, str]) -> str:
    """Return what puts the text that follows at the line and the column that it had."""
    head = text[text.rfind("\n", 0, position) + 1 : position]
    blanks = "".join(letter if letter == "\t" else " " * len(letter.encode()) for letter in head)
    return f'#line {place[0]} "{place[1]}"\n{blanks}'
