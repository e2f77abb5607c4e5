# SPDX-License-Identifier: Apache-2.0
"""A frame that says below itself what to know of it: what is missing, what was summed."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import pandas as pd

__all__ = ["Reading"]


class Reading(pd.DataFrame):
    """A DataFrame with `attrs["lost_events"]`, `attrs["warnings"]` and `attrs["notes"]`, which it shows.

    What is made from it (a filter, a sum) is a plain DataFrame.
    """

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    @property
    def told(self) -> list[str]:
        """The sentences below the table."""
        warnings = [f"Lost: {each}" for each in self.attrs.get("warnings", [])]
        return [*warnings, *self.attrs.get("notes", [])]

    def __repr__(self) -> str:
        return "\n".join([super().__repr__(), *self.told])

    def _repr_html_(self) -> str | None:
        table: Any = super()._repr_html_()  # type: ignore[operator, misc]
        below = "".join(f"<p>{escape(each)}</p>" for each in self.told)
        return f"{table}{below}" if table is not None else None
