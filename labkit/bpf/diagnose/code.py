# SPDX-License-Identifier: Apache-2.0
"""What the learner's C declares, read from its text: maps, probes, global variables, sizes of types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

__all__ = ["Code", "Map", "Probe", "number", "preceded", "put_before", "split_call"]

_COMMENT_OR_STRING = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
_TEXT_OR_SIGN = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|[][(){},]")
_MAP = re.compile(r"^\s*(BPF_[A-Z_]+)\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)", re.MULTILINE)
_PROBE = re.compile(
    r"\b(TRACEPOINT_PROBE|RAW_TRACEPOINT_PROBE|KFUNC_PROBE|KRETFUNC_PROBE)\s*\(\s*(\w+)(?:\s*,\s*(\w+))?[^)]*\)"
    r"|\bint\s+(k(?:ret)?probe)__(\w+)\s*\("
)
_FUNCTION = re.compile(
    r"^(?!TRACEPOINT_PROBE|BPF_)[\w \t*]*?\b(?!(?:if|for|while|switch)\b)(\w+)\s*\([^;{}]*\)\s*\{", re.MULTILINE
)
# name -> position of (key, value, entries) among the arguments of BCC's macro, and what is assumed without them
_LAYOUT: dict[str, tuple[int | None, int | None, int | None]] = {
    "BPF_HASH": (1, 2, 3),
    "BPF_PERCPU_HASH": (1, 2, 3),
    "BPF_LPM_TRIE": (1, 2, 3),
    "BPF_ARRAY": (None, 1, 2),
    "BPF_PERCPU_ARRAY": (None, 1, 2),
    "BPF_HISTOGRAM": (1, None, 2),
    "BPF_RINGBUF_OUTPUT": (None, None, 1),
    "BPF_PROG_ARRAY": (None, None, 1),
    "BPF_SOCKHASH": (1, None, 2),
}
_SIZES = {
    1: "u8 s8 __u8 __s8 char bool uint8_t int8_t",
    2: "u16 s16 __u16 __s16 short uint16_t int16_t",
    4: "u32 s32 __u32 __s32 int unsigned uint32_t int32_t pid_t",
    8: "u64 s64 __u64 __s64 long size_t uint64_t int64_t",
}
_BYTES = {name: size for size, names in _SIZES.items() for name in names.split()}


@dataclass(frozen=True)
class Map:
    """A map that the program declares."""

    macro: str
    name: str
    key: str
    value: str
    entries: str
    line: int


@dataclass(frozen=True)
class Probe:
    """A probe: `kind` is BCC's macro, or kprobe or kretprobe; `category` is empty where there is none."""

    kind: str
    category: str
    event: str
    line: int


@dataclass(frozen=True)
class Code:
    """A C file as its learner wrote it."""

    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def line(self, number: int) -> str:
        """Return a line, counted from 1; an empty text where there is none, as behind the last one."""
        return self.lines[number - 1] if 1 <= number <= len(self.lines) else ""

    @cached_property
    def bare(self) -> str:
        """The text with blanks for its comments."""
        return _COMMENT_OR_STRING.sub(
            lambda found: found[0] if found[0][0] in "\"'" else re.sub(r"[^\n]", " ", found[0]), self.text
        )

    @property
    def first_line(self) -> int:
        """The first line of the C, behind the line of the magic."""
        return 2 if self.text.startswith("// %%bpf") and len(self.lines) > 1 else 1

    def line_at(self, position: int) -> int:
        """Return the number of the line of a position in the text."""
        return self.text.count("\n", 0, position) + 1

    def find(self, pattern: str, start: int = 0) -> tuple[int, re.Match[str]] | None:
        """Return the line of the first match outside of comments, and the match."""
        found = re.compile(pattern, re.MULTILINE).search(self.bare, start)
        return (self.line_at(found.start()), found) if found else None

    @cached_property
    def maps(self) -> list[Map]:
        found = []
        for match in _MAP.finditer(self.bare):
            given = [each.strip() for each in match[2].split(",")]
            if match[1] == "BPF_TABLE" and len(given) >= 5:
                name, key, value, entries = given[3], given[1], given[2], given[4]
            else:
                places = _LAYOUT.get(match[1], (None, None, None))
                key, value, entries = (given[at] if at is not None and at < len(given) else "" for at in places)
                name = given[0]
            if match[1] != "BPF_LICENSE":
                found.append(Map(match[1], name, key, value, entries, self.line_at(match.start(1))))
        return found

    @cached_property
    def probes(self) -> list[Probe]:
        found = []
        for match in _PROBE.finditer(self.bare):
            line = self.line_at(match.start())
            if match[4]:
                found.append(Probe(match[4], "", match[5], line))
            elif match[3] and match[1] == "TRACEPOINT_PROBE":
                found.append(Probe(match[1], match[2], match[3], line))
            else:
                found.append(Probe(match[1], "", match[2], line))
        return found

    def probe_at(self, line: int) -> Probe | None:
        """Return the probe that begins last before a line."""
        return next((probe for probe in reversed(self.probes) if probe.line <= line), None)

    def function_at(self, line: int) -> tuple[str, int, int]:
        """Return (head, first line, last line) of the function that a line is in; an empty head outside of one."""
        heads = list(re.finditer(r"^\w[^;{}\n]*\)[ \t]*(?:\{|$)", self.bare, re.MULTILINE))
        own = [each for each in heads if self.line_at(each.start()) <= line]
        if not own or own[-1][0].startswith("BPF_"):
            return "", 0, 0
        end = self.bare.find("\n}", own[-1].end())
        last = self.line_at(end + 1) if end >= 0 else len(self.lines)
        return (own[-1][0], self.line_at(own[-1].start()), last) if line <= last else ("", 0, 0)

    def inside(self, line: int) -> str:
        """Return the function that a line is in, without its comments; empty outside of one."""
        _, first, last = self.function_at(line)
        return "\n".join(self.bare.splitlines()[first - 1 : last]) if first else ""

    def position(self, line: int) -> int:
        """Return where a line begins in the text; behind the last line, the text's end."""
        return sum(len(each) + 1 for each in self.bare.splitlines()[: line - 1])

    def leaving(self, line: int) -> str:
        """Return what a program for packets returns at its end, where 0 would drop the packet; 0 of another program."""
        above, below = "\n".join(self.lines[:line]), "\n".join(self.lines[line:])
        heads = re.findall(r"^\w[^;{}\n]*\([^;{}\n]*\)", above, re.MULTILINE)
        if not heads or not re.search(r"\bstruct\s+(?:xdp_md|__sk_buff|sk_msg_md|bpf_sock_ops)\b", heads[-1]):
            return "0"
        left = re.findall(r"\breturn\s+(-?\d+|[A-Z]\w*)\s*;", below.partition("\n}")[0])
        return left[-1] if left else "0"

    def map_named(self, name: str) -> Map | None:
        return next((each for each in self.maps if each.name == name), None)

    def declared(self, name: str, line: int) -> tuple[int, str] | None:
        """Return the line and the type of a variable of a plain type that is declared above a line."""
        for at in range(line, 0, -1):
            found = re.search(
                rf"(?:^|[;{{}}])\s*((?:unsigned |signed )?\w+)\s+{re.escape(name)}\s*(?:=|;)", self.line(at)
            )
            if found and found[1] not in ("return", "else", "goto"):
                return at, found[1]
        return None

    @cached_property
    def globals(self) -> dict[str, int]:
        """The variables declared outside of functions, or as static, with their lines."""
        found, depth = {}, 0
        for line, text in enumerate(self.bare.splitlines(), start=1):
            declared = re.match(
                r"\s*(?:static\s+|const\s+|volatile\s+)*(?:struct\s+\w+|unsigned\s+\w+|\w+)\s*(?:const\s*)?[\s*]+(\w+)"
                r"\s*(?:\[[^\]]*\]\s*)*(?:=[^=]|;)",
                text,
            )
            is_kept = depth == 0 or re.match(r"\s*static\b", text)  # a static variable of a function is kept apart, too
            if is_kept and declared and not re.match(r"\s*(?:typedef|return|extern|#)", text):
                found[declared[1]] = line
            depth += text.count("{") - text.count("}")
        return found

    @cached_property
    def functions(self) -> dict[str, tuple[int, str]]:
        """The functions that are no probes: name -> (line, body)."""
        found = {}
        for match in _FUNCTION.finditer(self.bare):
            end = self.bare.find("\n}", match.end())
            end = self.bare.find("}", match.end()) if "\n" not in self.bare[match.end() : end] else end
            found[match[1]] = (self.line_at(match.start(1)), self.bare[match.end() : end])
        return found

    def arguments(self, line: int, function: str) -> list[str]:
        """Return the arguments of a call that begins in a line, as they are written; none without such a call."""
        rest = "\n".join(self.bare.splitlines()[line - 1 :])
        start = re.search(rf"\b{function}\s*\(", rest) if function else None
        if start is None or "\n" in rest[: start.start()]:
            return []
        return split_call(rest, start.end())[0]

    def including(self, header: str) -> dict[int, str]:
        """Return the edit that includes a header, `<…>` or `"…"`, above the program."""
        return {self.first_line: f"#include {header}\n{self.lines[self.first_line - 1]}"}

    def above(self, line: int) -> str:
        """Return the text down to a line, that line included, without its comments."""
        return "\n".join(self.bare.splitlines()[:line])

    def constant(self, text: str) -> int | None:
        """Return the value of a constant, of a macro that is one, or of sizeof of what this file spells out."""
        if inside := re.fullmatch(r"\s*sizeof\s*\(\s*(?:\w+(?:\.|->))*(\w[\w *]*?)\s*\)\s*", text):
            return self.bytes_of(inside[1]) or self.size_of(inside[1])
        known = number(text)
        defined = re.search(rf"^\s*#\s*define\s+{re.escape(text.strip())}\s+(\S+)\s*$", self.bare, re.MULTILINE)
        if known is None and text.strip() == "TASK_COMM_LEN":
            return 16
        return number(defined[1]) if known is None and defined else known

    def bytes_of(self, name: str) -> int | None:
        """Return the bytes of the array of a name; None where there is none, or several of different sizes."""
        if not name.isidentifier():
            return None
        found = re.finditer(
            rf"\b((?:unsigned |signed |struct )?\w+)\s+(?:\w+\s*\[[^\]]+\]\s*,\s*)*{name}\s*\[([^\]]+)\]\s*[;=,]",
            self.bare,
        )
        ones = ((self.size_of(each[1]), each[2]) for each in found)  # `return name[0];` has no type
        sizes = {one * (self.constant(count) or 0) for one, count in ones if one}
        return (sizes.pop() or None) if len(sizes) == 1 else None

    def kind_of_array(self, name: str) -> str:
        """Return the type of the elements of an array, empty where it is not declared."""
        found = re.search(rf"\b((?:struct |unsigned )?\w+)\s+{re.escape(name)}\s*\[", self.bare)
        return found[1] if found else ""

    def size_of(self, kind: str) -> int | None:
        """Return the bytes of a C type that this file spells out, None where it does not."""
        measured = self._layout(kind.strip(), 0)
        return measured[0] if measured else None

    def padding(self, kind: str) -> int:
        """Return the bytes of a struct that belong to none of its members; 0 where that is not known."""
        body = re.search(rf"\bstruct\s+{re.escape(kind.split()[-1])}\s*\{{([^{{}}]*)\}}", self.bare)
        whole = self.size_of(kind)
        if body is None or whole is None:
            return 0
        total = 0
        for at, member in enumerate(re.findall(r"([^;]+);", body[1])):
            alone = Code(f"{self.text}\nstruct member_{at} {{ {member}; }};").size_of(f"struct member_{at}")
            if alone is None:
                return 0
            total += alone
        return whole - total

    def _layout(self, kind: str, depth: int) -> tuple[int, int] | None:
        """Return (bytes, alignment)."""
        kind = re.sub(r"\b(?:const|volatile)\b", "", kind).strip()
        if kind.endswith("*"):
            return 8, 8
        words = [word for word in kind.split() if word not in ("unsigned", "signed")] or ["int"]
        if words[0] == "enum":
            return 4, 4
        if words[0] != "struct" and (size := _BYTES.get(words[0] if len(words) == 1 else words[-1])):
            return size, size
        body = re.search(rf"\bstruct\s+{re.escape(words[-1])}\s*\{{([^{{}}]*)\}}", self.bare)
        body = body or re.search(rf"\bstruct\s*\w*\s*\{{([^{{}}]*)\}}\s*{re.escape(words[-1])}\s*;", self.bare)
        if body is None or depth > 4:
            return None
        size, largest = 0, 1
        for declaration in filter(None, (each.strip() for each in body[1].split(";"))):
            head, *others = declaration.split(",")
            parts = re.match(r"(.*?[\s*])(\w+)\s*((?:\[[^\]]*\])*)$", head, re.DOTALL)
            inner = self._layout(parts[1], depth + 1) if parts else None
            if parts is None or inner is None:
                return None
            for dimensions in [parts[3], *(re.sub(r"^[^\[]*", "", each) for each in others)]:
                count = 1
                for dimension in re.findall(r"\[([^\]]*)\]", dimensions):
                    known = self.constant(dimension)
                    if known is None:
                        return None
                    count *= known
                size = -(-size // inner[1]) * inner[1] + inner[0] * count
                largest = max(largest, inner[1])
        return -(-size // largest) * largest, largest


def split_call(text: str, start: int) -> tuple[list[str], int]:
    """Return the arguments of a call, and the position of the bracket that closes it.

    Parameters
    ----------
    start : the position behind the bracket that opens it.

    Where nothing closes it, the position is -1, and there are no arguments.
    """
    parts, depth, begin = [], 0, start
    for sign in _TEXT_OR_SIGN.finditer(text, start):
        if depth == 0 and sign[0] in (",", ")"):
            parts.append(" ".join(text[begin : sign.start()].split()))
            begin = sign.end()
            if sign[0] == ")":
                return parts, sign.start()
        depth += (sign[0] in ("(", "[", "{")) - (sign[0] in (")", "]", "}"))
    return [], -1


def put_before(text: str, statement: str) -> str:
    """Return a line of C with a statement put before what it has, behind its indent."""
    rest = text.lstrip()
    return f"{text[: len(text) - len(rest)]}{statement} {rest}"


def preceded(text: str, statement: str) -> str:
    """Return a line of C with a statement before what it has, in one block; a comment behind it stays behind it.

    A line that declares a variable gets no block: the lines below use the variable.
    """
    if re.match(r"\s*(?:\w+\s+)*\w+(?:\s+|\s*\*\s*)\w+\s*=", text):
        return put_before(text, statement)
    before, slashes, comment = text.partition("//")
    return f"{put_before(before.rstrip(), f'{{ {statement}')} }}" + (f" {slashes}{comment}" if slashes else "")


def number(text: str) -> int | None:
    """Return the value of a constant such as 64, 0x40, 1 << 16 or 64 * 1024; None of anything else."""
    if found := re.fullmatch(r"\s*(\w+)\s*(<<|\*)\s*(\w+)\s*", text):
        one, other = number(found[1]), number(found[3])
        if one is None or other is None or other > 1 << 20:
            return None
        return one << min(other, 64) if found[2] == "<<" else one * other
    try:
        return int(text.strip().rstrip("uUlL"), 0)
    except ValueError:
        return None
