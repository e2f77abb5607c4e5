# SPDX-License-Identifier: Apache-2.0
"""Loaded programs that nobody uses now, kept so that a rerun from a widget does not compile again."""

from __future__ import annotations

from labkit.bpf import maps
from labkit.bpf.compile import Compiled
from labkit.running.interrupts import uninterrupted

__all__ = ["SHELF", "Shelf", "forget_loaded"]


class Shelf:
    """Programs by their text and flags, the least recently used first; at most `room` of them."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._kept: dict[tuple[str, ...], Compiled] = {}

    def __contains__(self, key: tuple[str, ...]) -> bool:
        return key in self._kept

    def take(self, key: tuple[str, ...]) -> Compiled | None:
        """Return a program with its maps emptied, or None; it is the caller's then."""
        found = self._kept.pop(key, None)
        if found is not None:
            maps.clear(found.module)
        return found

    def put(self, key: tuple[str, ...], program: Compiled) -> None:
        """Keep a program of which nothing is attached."""
        replaced = self._kept.pop(key, None)
        self._kept[key] = program
        if replaced is not None:
            replaced.module.cleanup()
        while len(self._kept) > self._room:
            self._kept.pop(next(iter(self._kept))).module.cleanup()

    def empty(self) -> None:
        """Unload all of them."""
        while self._kept:
            self._kept.popitem()[1].module.cleanup()


SHELF = Shelf(room=24)


@uninterrupted()
def forget_loaded() -> None:
    """Unload the programs that are kept for reruns."""
    SHELF.empty()
