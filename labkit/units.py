# SPDX-License-Identifier: Apache-2.0
"""A number with its unit, as people say it."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["known", "plain", "si_bytes", "si_count", "si_ns", "si_time"]


def si_bytes(value: float) -> str:
    """Return a byte count as people say it: 4096 -> '4 KiB'."""
    number = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(number) < 1024 or unit == "GiB":
            return f"{number:.4g} {unit}"
        number /= 1024
    raise AssertionError("unreachable")


def si_ns(value: float) -> str:
    """Return a duration in nanoseconds as people say it: 12300 -> '12.3 µs'."""
    number = float(value)
    for unit in ("ns", "µs", "ms"):
        if abs(number) < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} s"


def si_time(value: float) -> str:
    """Return a moment in nanoseconds since boot, or since a first event: 4705373066000 -> '4705.373066 s'."""
    return f"{value / 1e9:.6f} s" if abs(value) >= 100e9 else si_ns(value)


def si_count(value: float) -> str:
    """Return a count or a rate as people say it: 1234567 -> '1.23 M'."""
    number = float(value)
    for unit in ("", " k", " M"):
        if abs(number) < 999.5:
            return f"{number:.4g}{unit}" if unit == "" else f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g} G"


def known(write: Callable[[float], str]) -> Callable[[float], str]:
    """Return a formatter that writes what was not measured (NaN) as a dash."""
    return lambda value: "–" if value != value else write(value)


def plain(value: object) -> str:
    """Return a value unchanged, as text."""
    return str(value)
