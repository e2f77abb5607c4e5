# SPDX-License-Identifier: Apache-2.0
"""What is kept under the name of a `%%bpf` cell whose program was refused, by the verifier or by this machine."""

from __future__ import annotations

from typing import NoReturn

from labkit.errors import Missing, VerifierError
from labkit.notebook.walk import Steps, steps

__all__ = ["Refused"]


class Refused:
    """What is kept under the name of a cell whose program was refused."""

    def __init__(self, name: str, error: VerifierError | Missing, source: str) -> None:
        self.name, self.headline = name, error.what
        self._error, self._source = error, source

    @property
    def fix(self) -> str:
        """What to do: correct the cell, or give this machine what it lacks."""
        return (
            self._error.fix
            if isinstance(self._error, Missing)
            else f"correct the cell of %%bpf {self.name}, and run it"
        )

    def walk(self) -> Steps:
        """Return the verifier's walk to step through: lines, instructions, registers (see `labkit.notebook.walk`)."""
        if isinstance(self._error, Missing):  # the verifier was not reached
            raise self._error
        return steps(self._error.log, self._error.lines, self._source)

    def __repr__(self) -> str:
        return f"{self.name} was refused, nothing is loaded: {self.headline}"

    def __getattr__(self, attribute: str) -> NoReturn:
        raise AttributeError(f"{self!r} Fix the cell of %%bpf {self.name} and run it again.")
