"""eBPF I/O Lab: measure what Linux does, on a real kernel, and see it.

What a lesson uses stands here, and is imported at its first use, so that `labkit doctor` starts at once and needs
neither IPython nor matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.show import panel, plot
    from labkit.show.check import check
    from labkit.show.doctor import doctor, ready
    from labkit.show.overview import progress
    from labkit.show.predict import predict
    from labkit.show.progress import solved
    from labkit.show.recorded import measured, recorded
    from labkit.show.source import source

__all__ = [
    "check",
    "doctor",
    "measured",
    "panel",
    "plot",
    "predict",
    "progress",
    "ready",
    "recorded",
    "solved",
    "source",
]

_HOMES = {
    "check": "labkit.show.check",
    "doctor": "labkit.show.doctor",
    "load_ipython_extension": "labkit.show.magic",  # %load_ext labkit
    "measured": "labkit.show.recorded",
    "panel": "labkit.show",
    "plot": "labkit.show",
    "predict": "labkit.show.predict",
    "progress": "labkit.show.overview",
    "ready": "labkit.show.doctor",
    "recorded": "labkit.show.recorded",
    "solved": "labkit.show.progress",
    "source": "labkit.show.source",
    "unload_ipython_extension": "labkit.show.magic",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'labkit' has no attribute {name!r}")
    if _HOMES[name] == "labkit.show":
        return import_module(f"labkit.show.{name}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, *globals()]
