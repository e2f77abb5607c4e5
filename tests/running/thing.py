# SPDX-License-Identifier: Apache-2.0
"""A thing held by a `with` block of its own."""

from __future__ import annotations

import os

from labkit.running import owner


class Thing:
    """Holds a descriptor, as Program and Workload do."""

    def __init__(self) -> None:
        self._held: owner.Held | None = None
        self.descriptors: list[int] = []

    def __enter__(self) -> Thing:
        self._held = owner.acquire("a thing", self._open, self._close, by=self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._held is not None:
            self._held.close()

    def _open(self) -> None:
        self.descriptors.append(os.open(os.devnull, os.O_RDONLY))

    def _close(self) -> None:
        while self.descriptors:
            os.close(self.descriptors.pop())
