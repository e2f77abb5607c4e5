# SPDX-License-Identifier: Apache-2.0
"""ELF files (elf(5)): the smallest that libbpf takes, and the USDT probes noted in one that someone else made."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["UsdtNote", "bpf_object", "usdt_notes"]

_BPF_MACHINE = 247
_SECTION = "<IIQQQQIIQQ"  # name, type, flags, address, offset, size, link, info, alignment, entry size
_SEGMENT = "<IIQQQQQQ"  # type, flags, offset, virtual address, physical address, size in file, in memory, alignment


def bpf_object(section: str, name: str, code: bytes) -> bytes:
    """Return a relocatable ELF file with one function, `name`, in one section, under the GPL."""
    texts = [b"", section.encode(), b"license", b".strtab", b".symtab", name.encode(), b""]
    strings = b"\0".join(texts)

    def at(text: bytes) -> int:
        return strings.index(b"\0" + text + b"\0") + 1

    symbol = struct.pack("<IBBHQQ", at(name.encode()), 0x12, 0, 1, 0, len(code))  # a global function in section 1
    contents = [code, b"GPL\0", strings, bytes(24) + symbol]
    kinds = [  # name, type, flags, link, info, entry size
        (at(section.encode()), 1, 6, 0, 0, 0),  # PROGBITS, allocated, executable
        (at(b"license"), 1, 3, 0, 0, 0),  # PROGBITS, allocated, writable
        (at(b".strtab"), 3, 0, 0, 0, 0),
        (at(b".symtab"), 2, 0, 3, 1, 24),  # its strings are in section 3; its first global symbol is number 1
    ]
    body, table = b"", bytes(64)  # the table's first entry is empty
    for content, (text, kind, flags, link, info, entry) in zip(contents, kinds, strict=True):
        table += struct.pack(_SECTION, text, kind, flags, 0, 64 + len(body), len(content), link, info, 8, entry)
        body += content + bytes(-len(content) % 8)
    ident = b"\x7fELF\2\1\1" + bytes(9)  # 64 bits, little-endian
    header = struct.pack("<HHIQQQIHHHHHH", 1, _BPF_MACHINE, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, 5, 3)
    return ident + header + body + table


@dataclass(frozen=True)
class UsdtNote:
    """One USDT probe, as the section .note.stapsdt describes it."""

    provider: str
    probe: str
    file_offset: int  # where in the file its nop is
    address: int  # where the linker put it
    arguments: str  # where its arguments are: "8@%rdi -4@%eax"
    semaphore: int  # address of the counter that tracers raise; 0 if it has none
    semaphore_offset: int  # where in the file that is

    @property
    def name(self) -> str:
        """Its full name, "provider:probe"."""
        return f"{self.provider}:{self.probe}"


def usdt_notes(file: Path) -> list[UsdtNote]:
    """Return the USDT probes of a program or library; none if it is not a 64-bit little-endian ELF file."""
    image = file.read_bytes()
    if image[:6] != b"\x7fELF\2\1":
        return []
    content = _section(image, b".note.stapsdt")
    notes = []
    while content:
        owner_size, size, _kind = struct.unpack_from("<III", content)
        start = 12 + owner_size + -owner_size % 4
        address, _base, semaphore = struct.unpack_from("<QQQ", content, start)
        provider, probe, arguments = (text.decode() for text in content[start + 24 : start + size].split(b"\0")[:3])
        place, counter = _file_offset(image, address), _file_offset(image, semaphore)
        notes.append(UsdtNote(provider, probe, place, address, arguments, semaphore, counter))
        content = content[start + size + -size % 4 :]
    return notes


def _section(image: bytes, wanted: bytes) -> bytes:
    """Return the contents of a section, or nothing."""
    (table,) = struct.unpack_from("<Q", image, 40)
    entry_size, number, names_at = struct.unpack_from("<HHH", image, 58)
    headers = [struct.unpack_from(_SECTION, image, table + entry_size * index) for index in range(number)]
    if not headers:
        return b""
    names = headers[names_at][4]
    for name, _type, _flags, _address, offset, size, *_ in headers:
        if image.startswith(wanted + b"\0", names + name):
            return image[offset : offset + size]
    return b""


def _segments(image: bytes) -> Iterator[tuple[int, ...]]:
    (table,) = struct.unpack_from("<Q", image, 32)
    entry_size, number = struct.unpack_from("<HH", image, 54)
    for index in range(number):
        yield struct.unpack_from(_SEGMENT, image, table + entry_size * index)


def _file_offset(image: bytes, address: int) -> int:
    for kind, _flags, offset, start, _physical, size, *_ in _segments(image):
        if kind == 1 and start <= address < start + size:  # PT_LOAD
            return address - start + offset
    return 0
