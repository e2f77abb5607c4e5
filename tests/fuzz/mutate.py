# SPDX-License-Identifier: Apache-2.0
"""Damage what is well formed: a few random edits, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

__all__ = ["Mutator"]

_NUMBERS = (
    "0 -0 08 -1 1 255 256 65535 4294967295 4294967296 9223372036854775807 9223372036854775808 -9223372036854775809"
)
_ODD = [
    *(
        number.encode()
        for number in f"{_NUMBERS} 0xffffffffffffffff 1e400 NaN Infinity -Infinity null true [] {{}}".split()
    ),
    b"9" * 5000,
    b"[" * 3000,
    b'{"a":' * 3000,
    b"\0",
    b"\xff\xfe",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\n",
    b"\r\n",
    b"\x0b",
    b" ",
    b"\t",
    b"%s%n",
    b"$a$b$",
    b"{0}",
    b"{",
    b"../../",
    b"\\",
    b'"',
    "٣".encode(),  # a digit, but not of ASCII
    "²".encode(),
    b"-",
    b",",
    b":",
    b"=",
    b"(",
    b")",
    b"x" * 10_000,
]


class Mutator:
    """Draws inputs from seeds: each is a seed with one edit to eight."""

    def __init__(self, seeds: Sequence[bytes], number: int, most_bytes: int = 20_000) -> None:
        self._seeds = list(seeds)
        self._random = random.Random(number)
        self._most_bytes = most_bytes

    def draw(self) -> bytes:
        """Return the next input."""
        made = self._random.choice(self._seeds)
        for _ in range(self._random.choice((1, 1, 1, 2, 2, 3, 5, 8))):
            made = self._random.choice(_EDITS)(self._random, made, self._seeds)
        return made[: self._most_bytes]


def _flip(chance: random.Random, text: bytes, _: Sequence[bytes]) -> bytes:
    if not text:
        return bytes([chance.randrange(256)])
    at = chance.randrange(len(text))
    return text[:at] + bytes([text[at] ^ (1 << chance.randrange(8))]) + text[at + 1 :]


def _set(chance: random.Random, text: bytes, _: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(text) + 1)
    return text[:at] + bytes([chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))]) + text[at + 1 :]


def _insert(chance: random.Random, text: bytes, _: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(_ODD) + text[at:]


def _put_over(chance: random.Random, text: bytes, _: Sequence[bytes]) -> bytes:
    """Put something odd in the place of a word: most damage that matters is there."""
    start = chance.randrange(len(text) + 1)
    while start and text[start - 1 : start].isalnum():
        start -= 1
    end = start
    while text[end : end + 1].isalnum():
        end += 1
    return text[:start] + chance.choice(_ODD) + text[end:]


def _cut(chance: random.Random, text: bytes, _: Sequence[bytes]) -> bytes:
    return text[: chance.randrange(len(text) + 1)]


def _remove(chance: random.Random, text: bytes, _: Sequence[bytes]) -> bytes:
    start = chance.randrange(len(text) + 1)
    return text[:start] + text[start + chance.choice((1, 1, 2, 4, 8, 64)) :]


def _repeat(chance: random.Random, text: bytes, _: Sequence[bytes]) -> bytes:
    start = chance.randrange(len(text) + 1)
    part = text[start : start + chance.choice((1, 4, 16, 64))]
    return text[:start] + part * chance.choice((2, 3, 50)) + text[start:]


def _splice(chance: random.Random, text: bytes, seeds: Sequence[bytes]) -> bytes:
    other = chance.choice(seeds)
    return text[: chance.randrange(len(text) + 1)] + other[chance.randrange(len(other) + 1) :]


def _without_a_line(chance: random.Random, text: bytes, _: Sequence[bytes]) -> bytes:
    lines = text.split(b"\n")
    del lines[chance.randrange(len(lines))]
    return b"\n".join(lines)


def _lines_swapped(chance: random.Random, text: bytes, _: Sequence[bytes]) -> bytes:
    lines = text.split(b"\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


_EDITS = (_flip, _set, _insert, _put_over, _put_over, _cut, _remove, _repeat, _splice, _without_a_line, _lines_swapped)
