"""Frames to pictures: `plot.STEM(frame) -> Axes`, one file for each lesson, and the words beside them."""

from __future__ import annotations

from .capstone import capstone
from .hello import hello
from .io_engines import io_engines
from .maps import maps
from .probes import probes
from .sockmap import sockmap, sockmap_path
from .start import start
from .syscall_latency import syscall_latency
from .uring import uring
from .usdt import usdt
from .verifier import verdict, verifier
from .words import finding, listing, provenance, table, times

__all__ = [
    "capstone",
    "finding",
    "hello",
    "io_engines",
    "listing",
    "maps",
    "probes",
    "provenance",
    "sockmap",
    "sockmap_path",
    "start",
    "syscall_latency",
    "table",
    "times",
    "uring",
    "usdt",
    "verdict",
    "verifier",
]
