# SPDX-License-Identifier: Apache-2.0
"""The text and the flags of a BPF program as BCC gets them: the same for loading, the rehearsal and `%%bpf`."""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from labkit.bpf.structures import structures_of
from labkit.errors import BadArgument
from labkit.machine.doctor import helpers
from labkit.machine.folders import repo_folder

__all__ = ["BPF_FOLDER", "Source"]

BPF_FOLDER = repo_folder() / "c" / "bpf"

_INCLUDE = re.compile(r'\s*#\s*include\s+"(labkit\w*\.h)"')  # labkit.h, labkit_usdt.h
_STRUCTURES = "the structures of this kernel"  # in place of a file's name
_WARNINGS = (
    "-Wno-macro-redefined",
    "-Wuninitialized",
    "-Wsometimes-uninitialized",
    "-Wimplicit-fallthrough",
    "-Wtautological-unsigned-zero-compare",
    "-Wmisleading-indentation",
    "-Wunreachable-code",
    "-Wtautological-overlap-compare",
    "-Wtautological-bitwise-compare",
)
_PROBE = re.compile(r"TRACEPOINT_PROBE\s*\(.*\)[\s{]*$")


@dataclass(frozen=True)
class Source:
    """One program to compile.

    Parameters
    ----------
    path : the C file.
    text : what BCC gets; see `Source.of`.
    cflags : what clang gets.
    """

    path: Path
    text: str
    cflags: tuple[str, ...]

    @staticmethod
    def of(path: Path, flags: Mapping[str, str]) -> Source:
        """Return the source of a C file, with macros given as -DNAME=VALUE.

        Raises
        ------
        BadArgument : a flag that is not a C identifier.
        """
        for flag in flags:
            if not flag.isidentifier():
                raise BadArgument(f"flags has {flag!r}.", "name each flag as a C macro, such as SAMPLE_HZ")
        macros = (f"-D{name}={value}" for name, value in flags.items())
        return Source(path, _of_this_kernel(_with_structures(path)), (f"-I{BPF_FOLDER}", *_WARNINGS, *macros))

    @property
    def key(self) -> tuple[str, ...]:
        """What two equal programs have in common."""
        return (self.text, *sorted(self.cflags))


def _of_this_kernel(text: str) -> str:
    """Return a text with macros above it for what depends on the kernel that runs; the headers may be another's.

    PAGE_SIZE, in which BCC counts a ring buffer: a kernel with larger pages refuses a ring buffer of half a page.
    NO_ATTACH_COOKIE, for labkit_usdt.h, before Linux 5.15.
    """
    macros = f"#undef PAGE_SIZE\n#define PAGE_SIZE {mmap.PAGESIZE}UL\n"
    if "NO_ATTACH_COOKIE" in text and not helpers.may_call("uprobe", helpers.GET_ATTACH_COOKIE):
        macros += "#define NO_ATTACH_COOKIE 1\n"
    return macros + text


def _with_structures(path: Path) -> str:
    """Return the text of a C file with the kernel's structures that it names as `labkit.bpf.structures` has them."""
    found = structures_of(path.read_text(encoding="utf-8"))
    if found is None or not found.declarations:
        return _whole(path)
    return "\n".join([f'#line 1 "{_STRUCTURES}"', found.declarations, _whole(path, found.renamed)])


def _whole(path: Path, changed: Callable[[str], str] = str) -> str:
    """Return a C file with the lab's headers put where they are included.

    BCC rewrites `map.lookup(…)` in the main file only, so the shared headers must be part of it. `#line` keeps each
    file's own name and line numbers in clang's diagnostics; it is said again after each probe, because BCC inserts the
    tracepoint's struct there. `changed` is applied to each line.
    """
    lines = [f'#line 1 "{path}"']
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        included = _INCLUDE.match(line)
        lines.append(_whole(BPF_FOLDER / included[1]) if included else changed(line))
        if included or _PROBE.match(line):
            lines.append(f'#line {number + 1} "{path}"')
    return "\n".join(lines)
