"""Panels: controls that measure and plot again. `panel.STEM()`, one file for each lesson."""

from __future__ import annotations

from . import controls
from .base import Panel
from .capstone import capstone
from .hello import hello
from .io_engines import io_engines
from .maps import maps
from .probes import probes
from .sockmap import sockmap
from .start import start
from .syscall_latency import syscall_latency
from .uring import uring
from .uring_rings import uring_rings
from .usdt import usdt
from .verifier import verifier

__all__ = [
    "Panel",
    "capstone",
    "controls",
    "hello",
    "io_engines",
    "maps",
    "probes",
    "sockmap",
    "start",
    "syscall_latency",
    "uring",
    "uring_rings",
    "usdt",
    "verifier",
]
