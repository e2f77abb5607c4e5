# SPDX-License-Identifier: Apache-2.0
"""The kernel's own structures, laid out as in the kernel that runs, where the headers are those of another one.

A program that reads `task->pid` reads at the offset that its headers say. With headers of another kernel this is the
wrong place, and nothing says so. The structures that a program names are therefore declared anew from the kernel's BTF,
under other names (`struct Task_struct`), and these are put into the program's text. They are as long as the old ones,
so that each column stays where it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from labkit.errors import Missing
from labkit.machine import btf as kinds
from labkit.machine.btf import BTF, kernel_btf
from labkit.machine.headers import CHOICE, kernel_headers

__all__ = ["Structures", "as_written", "promised_in", "structures_of"]

_NOT_CODE = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL)
_LEFT = r"pt_regs|bpf_\w+"  # promised, though not among the UAPI headers; and what BCC's own headers are about
_KEPT = {  # types of one number that have stayed as they are, and the header that has them
    "kuid_t": "linux/uidgid.h",
    "kgid_t": "linux/uidgid.h",
    "atomic_t": "linux/types.h",
    "atomic64_t": "linux/types.h",
}
_PROMISED = ("include/uapi", "arch/*/include/uapi", "arch/*/include/generated/uapi")


@dataclass(frozen=True)
class Structures:
    """The kernel's structures in a program.

    Attributes
    ----------
    names : those that the program names.
    declarations : C, to stand before the program; empty where this kernel has no BTF.
    headers : the release that the headers are of.
    spelled : the names in the declarations -> the kernel's.
    """

    names: tuple[str, ...]
    declarations: str
    headers: str
    spelled: Mapping[str, str]

    def renamed(self, line: str) -> str:
        """Return a line of the program in which these structures have the names of the declarations."""
        if not self.declarations:
            return line
        tags = "|".join(self.names)
        return re.sub(rf"\b(struct\s+)({tags})\b", lambda found: found[1] + _other(found[2]), line)


def structures_of(text: str) -> Structures | None:
    """Return the kernel's structures that a program names; None where it names none, or includes this kernel's headers.

    Those that the kernel promises to keep (UAPI) are not among them.
    """
    return _found(text, os.environ.get(CHOICE))


@lru_cache(maxsize=16)
def _found(text: str, chosen: str | None) -> Structures | None:
    words = re.sub(_NOT_CODE, " ", text)
    own = set(re.findall(r"\bstruct\s+(\w+)\s*\{", words))
    tags = set(re.findall(r"\bstruct\s+(\w+)", words)) - own
    tags = {tag for tag in tags if not re.fullmatch(_LEFT, tag)}
    if not tags:
        return None
    try:
        headers = kernel_headers()
    except Missing:
        return None
    included = re.search(r"^\s*#\s*include\s*<", text, re.MULTILINE)  # without any, no structure is known
    if included and headers.exact and chosen in (None, headers.environment.get(CHOICE)):
        return None
    tags -= _promised(headers.path).keys()
    kernel = kernel_btf()
    names = tuple(sorted(tags & kernel.structures.keys() if kernel else set(_defined(tags, headers.path))))
    if not names:
        return None
    if kernel is None:
        return Structures(names, "", headers.release, {})
    mentioned = set(re.findall(r"[A-Za-z_]\w*", words))
    writer = _Writer(kernel, _with_pointed(kernel, names, mentioned))
    return Structures(names, writer.text(), headers.release, writer.spelled())


def as_written(words: str, text: str) -> str:
    """Return clang's words about a program with the names of structures as the kernel spells them."""
    found = structures_of(text)
    if found is None:
        return words
    return re.sub(r"\b(struct|union) (\w+)", lambda tag: f"{tag[1]} {found.spelled.get(tag[2], tag[2])}", words)


def _other(tag: str) -> str:
    """Return another name of the same length: its first letter is a capital."""
    return re.sub(r"[a-z]", lambda found: found[0].upper(), tag, count=1)


def promised_in(tag: str) -> str:
    """Return the header of the kernel's promised interface that declares a struct, empty if there is none."""
    if tag == "pt_regs":  # declared by the header that the architecture's own is included from
        return "uapi/linux/ptrace.h"
    try:
        return _promised(kernel_headers().path).get(tag, "")
    except Missing:
        return ""


def constants_of_headers() -> Mapping[str, str]:
    """Return the constants of the kernel's promised interface, and the header of each; none without headers."""
    try:
        return _constants(kernel_headers().path)
    except Missing:
        return {}


@cache
def _constants(tree: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in [*_uapi_headers(tree), *tree.glob("include/linux/socket.h")]:
        name = str(path)[str(path).rindex("include/") + len("include/") :]
        pattern = r"^[ \t]*(?:#[ \t]*define[ \t]+([A-Z]\w+)[ \t]+\S|([A-Z][A-Z0-9_]{4,})[ \t]*(?:=[^,;\n]*)?,)"
        for one, other in re.findall(pattern, path.read_text(errors="replace"), re.MULTILINE):
            found.setdefault(one or other, name)
    return found


@cache
def _promised(tree: Path) -> dict[str, str]:
    """Return the structs of the UAPI headers, which the kernel promises to keep, and the header of each."""
    found: dict[str, str] = {}
    for path in _uapi_headers(tree):
        name = str(path)[str(path).index("uapi/") :]
        for tag in re.findall(r"^struct\s+(\w+)\s*\{", path.read_text(errors="replace"), re.MULTILINE):
            found.setdefault(tag, name)
    return found


def _uapi_headers(tree: Path) -> Iterator[Path]:
    for pattern in _PROMISED:
        yield from tree.glob(f"{pattern}/**/*.h")


def _defined(tags: set[str], tree: Path) -> Iterator[str]:
    """Yield the tags that a header of the kernel defines."""
    for folder in ("include/linux", "include/net"):
        for path in (tree / folder).glob("*.h"):
            text = path.read_text(errors="replace")
            yield from (tag for tag in tags if f"struct {tag} {{" in text)


def _with_pointed(kernel: BTF, known: tuple[str, ...], mentioned: set[str]) -> list[str]:
    """Return structures with those that their mentioned members point to."""
    found = list(known)
    for name in found:  # it grows
        for member in _flat(kernel, kernel.structures[name]):
            target = kernel.real(member.type)
            pointed = kernel.real(target.target) if target.kind == kinds.PTR else None
            if pointed and pointed.kind == kinds.STRUCT and member.name in mentioned:
                if pointed.name and pointed.name not in found:
                    found.append(pointed.name)
    return found


def _flat(kernel: BTF, number: int) -> Iterator[kinds.Member]:
    """Yield the members of a struct and of the structs and unions inside it."""
    for member in kernel.type(number).members:
        inner = kernel.resolve(member.type)
        yield member
        if kernel.type(inner).kind in (kinds.STRUCT, kinds.UNION):
            yield from _flat(kernel, inner)


def _word(this: kinds.Type) -> str:
    return "union" if this.kind == kinds.UNION else "struct"


def _tag(this: kinds.Type) -> str:
    """Return the name that a struct or union has in the declarations, with its word."""
    return f"{_word(this)} {_other(this.name)}"


class _Writer:
    """Writes structures as C whose layout does not depend on the compiler: packed, with the gaps spelled out."""

    def __init__(self, kernel: BTF, wanted: list[str]) -> None:
        self._kernel = kernel
        self._wanted = wanted
        self._done: dict[int, None] = {}
        self._parts: list[str] = []
        self._headers: set[str] = set()
        self._gaps = 0

    def text(self) -> str:
        """Return the declarations, all in one line, behind the headers that they need."""
        for name in self._wanted:
            self._define(self._kernel.structures[name])
        forward = "".join(f"struct {_other(name)}; " for name in self._wanted)
        lines = [f"#include <{header}>" for header in sorted(self._headers)]
        return "\n".join([*lines, forward + " ".join(self._parts)])

    def spelled(self) -> dict[str, str]:
        """Return the names in the text -> the kernel's."""
        return {_other(name): name for name in (self._kernel.type(number).name for number in self._done)}

    def _define(self, number: int) -> None:
        if number in self._done:
            return
        self._done[number] = None
        body = self._body(number)
        self._parts.append(f"{_tag(self._kernel.type(number))} {body}; {self._proof(number)}")

    def _proof(self, number: int) -> str:
        """Return assertions that the compiler lays it out as the kernel does."""
        this = self._kernel.type(number)
        tag = _tag(this)
        last = next((each for each in reversed(this.members) if each.name and not each.bits), None)
        proofs = [f"sizeof({tag}) == {this.size}"]
        if last:
            proofs.append(f"__builtin_offsetof({tag}, {last.name}) == {last.bit_offset // 8}")
        return " ".join(f'_Static_assert({each}, "layout");' for each in proofs)

    def _body(self, number: int) -> str:
        this = self._kernel.type(number)
        is_union, at, parts = this.kind == kinds.UNION, 0, []
        for member in this.members:
            bits = member.bits or 8 * self._kernel.bytes_of(member.type)
            if is_union:
                parts.append(self._member(member))
                continue
            gap = member.bit_offset - at
            if gap and member.bits:
                at_byte = -(-at // 8) * 8
                if at_byte <= member.bit_offset:
                    parts += [f"unsigned char :{at_byte - at};"] * (at_byte > at)
                    at = at_byte
                whole, rest = divmod(member.bit_offset - at, 8)
                parts += self._gap(whole) + [f"unsigned char :{rest};"] * (rest > 0)
            elif gap:
                parts += self._gap(gap // 8)
            parts.append(self._member(member))
            at = member.bit_offset + bits
        end = 0 if is_union else -(-at // 8)
        if not is_union and this.size > end:
            parts += self._gap(this.size - end)
        align = next(each for each in (8, 4, 2, 1) if this.size % each == 0)
        return f"{{ {' '.join(parts)} }} __attribute__((packed, aligned({align})))"

    def _gap(self, count: int) -> list[str]:
        """Return some bytes without a meaning; anonymous parts share their names with what is around them."""
        self._gaps += 1
        return [f"char gap_{self._gaps}_[{count}];"] if count else []

    def _member(self, member: kinds.Member) -> str:
        width = f":{member.bits}" if member.bits else ""
        return f"{self._declare(member.type, member.name)}{width};"

    def _declare(self, number: int, name: str) -> str:
        """Return the C that declares a name with a type."""
        spelled = self._kernel.type(self._kernel.unqualified(number))
        if spelled.kind == kinds.TYPEDEF and spelled.name in _KEPT:
            self._headers.add(_KEPT[spelled.name])
            return f"{spelled.name} {name}"
        number = self._kernel.resolve(number)
        this = self._kernel.type(number)
        if this.kind == kinds.PTR:
            return self._pointer(this.target, name)
        if this.kind == kinds.ARRAY:
            return self._declare(this.target, f"{name}[{this.count}]")
        if this.kind in (kinds.STRUCT, kinds.UNION):
            if not this.name:
                return f"{_word(this)} {self._body(number)} {name}"
            self._define(number)
            return f"{_tag(this)} {name}"
        if this.kind in (kinds.ENUM, kinds.ENUM64):
            sign = "signed" if this.signed else "unsigned"
            return f"{sign} {({1: 'char', 2: 'short', 4: 'int', 8: 'long long'})[this.size]} {name}"
        return f"{this.name} {name}"

    def _pointer(self, target: int, name: str) -> str:
        target = self._kernel.resolve(target)
        this = self._kernel.type(target)
        if this.kind in (kinds.STRUCT, kinds.UNION, kinds.FWD) and this.name:
            return f"{_tag(this) if this.name in self._wanted else f'{_word(this)} {this.name}'} *{name}"
        if this.kind in (kinds.INT, kinds.PTR):
            return self._declare(target, f"*{name}")
        return f"void *{name}"
