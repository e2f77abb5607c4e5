# SPDX-License-Identifier: Apache-2.0
"""eBPF I/O Lab: measure what Linux does, on a real kernel, and see it.

What every notebook uses is named here, and imported at its first use, so that `labkit doctor` starts at once and needs
neither IPython nor matplotlib. What one lesson uses is in `labkit.lessons.STEM`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.lessons.your_program.watching import watch
    from labkit.notebook.check import check
    from labkit.notebook.once_more import ask_again
    from labkit.notebook.overview import progress
    from labkit.notebook.predict import predict
    from labkit.notebook.readiness import doctor, ready
    from labkit.notebook.recorded import measured, recorded
    from labkit.notebook.solved import solved
    from labkit.notebook.source import source
    from labkit.notebook.tables import finding, provenance, table, times

_HOMES = {
    "ask_again": "once_more",
    "check": "check",
    "doctor": "readiness",
    "finding": "tables",
    "load_ipython_extension": "magic",  # %load_ext labkit
    "measured": "recorded",
    "predict": "predict",
    "progress": "overview",
    "provenance": "tables",
    "ready": "readiness",
    "recorded": "recorded",
    "solved": "solved",
    "source": "source",
    "table": "tables",
    "times": "tables",
    "unload_ipython_extension": "magic",
    "watch": "labkit.lessons.your_program.watching",
}

__all__ = [
    "ask_again",
    "check",
    "doctor",
    "finding",
    "measured",
    "predict",
    "progress",
    "provenance",
    "ready",
    "recorded",
    "solved",
    "source",
    "table",
    "times",
    "watch",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'labkit' has no attribute {name!r}")
    home = _HOMES[name]
    return getattr(import_module(home if "." in home else f"labkit.notebook.{home}"), name)


def __dir__() -> list[str]:
    return [*__all__, *globals()]
