# SPDX-License-Identifier: Apache-2.0
"""What is kept under the name of a `%%bpf` cell whose program was refused."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["Refused"]


class Refused:
    """What is kept under the name of a cell whose program was refused."""

    def __init__(self, name: str, headline: str) -> None:
        self.name = name
        self.headline = headline

    def __repr__(self) -> str:
        return f"{self.name} was refused, nothing is loaded: {self.headline}"

    def __getattr__(self, attribute: str) -> NoReturn:
        raise AttributeError(f"{self!r} Fix the cell of %%bpf {self.name} and run it again.")
