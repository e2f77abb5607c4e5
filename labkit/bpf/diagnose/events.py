# SPDX-License-Identifier: Apache-2.0
"""What this kernel has by name: tracepoints, their fields, helpers; and the nearest to a name that is misspelt."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from labkit.bpf.syscalls import COUNTERPART
from labkit.machine.proc import text_or_empty

__all__ = [
    "declared",
    "event_problem",
    "field_type",
    "fields",
    "function_problem",
    "helpers",
    "kprobe_advice",
    "near",
    "nearest_event",
]

_EVENTS = Path("/sys/kernel/tracing/events")
_UAPI = Path("/usr/include/linux/bpf.h")
_SYMBOLS = Path("/proc/kallsyms")


def near(name: str, known: Iterable[str], cutoff: float = 0.7) -> str:
    """Return the name most like `name`, or an empty string."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), "")


def fields(category: str, event: str) -> list[str]:
    """Return the fields of a tracepoint, without those that all have; none where tracefs does not show them."""
    names = re.findall(r"field:[^;]*?(\w+)(?:\[[^\]]*\])?;", _format(category, event))
    return [name for name in names if not name.startswith(("common_", "__syscall_nr"))]


def field_type(category: str, event: str, field: str) -> str:
    """Return the C type of a tracepoint's field, empty where it is not known."""
    text = _format(category, event)
    found = re.search(rf"field:\s*([^;]*?)\s*\b{re.escape(field)};", text) if field else None
    return found[1].strip() if found else ""


def declared(category: str, event: str, field: str) -> str:
    """Return the declaration of a tracepoint's field, with its brackets; empty where it is not known."""
    found = re.search(rf"field:\s*([^;]*\b{re.escape(field)}(?:\[[^\]]*\])?);", _format(category, event))
    return found[1] if found else ""


def _format(category: str, event: str) -> str:
    """Return what tracefs says of a tracepoint's record; empty where it shows none."""
    return text_or_empty(_EVENTS / category / event / "format")


def helpers() -> list[str]:
    """Return the BPF helpers that the header of this machine's C library package knows."""
    return [f"bpf_{name}" for name in re.findall(r"\bFN\((\w+)", text_or_empty(_UAPI)) if name != "unspec"]


def event_problem(category: str, event: str) -> tuple[str, str] | None:
    """Return (what is wrong, the fix) of a tracepoint that this kernel does not have; None if it has it."""
    if not (_EVENTS / "syscalls").is_dir() or os.path.isdir(_EVENTS / category / event):
        return None
    what = f"this kernel has no tracepoint {category}:{event}"
    other = [path.parent.name for path in _EVENTS.glob(f"*/{event}")]
    if other:
        return what, f"{event} is in the category {other[0]}: TRACEPOINT_PROBE({other[0]}, {event})"
    if not os.path.isdir(_EVENTS / category):  # not Path.is_dir: a name may be too long
        close = near(category, (path.name for path in _EVENTS.iterdir()))
        return what, f"did you mean the category {close}?" if close else "see the folders of /sys/kernel/tracing/events"
    meant, call = _of_call(category, event), _kind_and_call(event)[1]
    if meant and not meant.endswith(f"_{call}"):
        what += f": this machine has no system call {call}"
    close = meant or near(event, (path.name for path in (_EVENTS / category).iterdir()))
    if not close:
        return what, f"choose one of the folders of {_EVENTS / category}"
    return what, f"did you mean {close}? Its fields are: {', '.join(fields(category, close))}"


def _of_call(category: str, name: str) -> str:
    """Return the event of the system call that a name means: `read`, sys_exit_read; empty where it means none.

    Where the machine has no such call, as 64-bit ARM has no `open`, it is the event of the call that does the same.
    """
    kind, call = _kind_and_call(name)
    events = (f"{kind or 'sys_enter_'}{each}" for each in (call, COUNTERPART.get(call)) if each)
    is_there = (event for event in events if category == "syscalls" and os.path.isdir(_EVENTS / category / event))
    return next(is_there, "")


def _kind_and_call(name: str) -> tuple[str, str]:
    """Return the two parts of a name: ("sys_enter_", "read"), or ("", "read") where it is a call's own."""
    kind = name[: name.find("_", len("sys_")) + 1] if name.startswith(("sys_enter_", "sys_exit_")) else ""
    return kind, name.removeprefix(kind)


def function_problem(name: str) -> tuple[str, str] | None:
    """Return (what is wrong, the fix) of a function that this kernel does not have; None if it has it, or hides all."""
    known = set(re.findall(r" [tT] (\w+)$", text_or_empty(_SYMBOLS), re.MULTILINE))
    if not known or name in known:
        return None
    close = near(name, (each for each in known if each[:2] == name[:2]))
    what = f"this kernel has no function {name}, or clang put it into its callers"
    return what, f"did you mean {close}?" if close else "choose another function: grep NAME /proc/kallsyms"


def nearest_event(category: str, event: str) -> tuple[str, str] | None:
    """Return (category, event) of the tracepoint that is meant by a misspelt one, if there is one."""
    if other := [path.parent.name for path in _EVENTS.glob(f"*/{event}")]:
        return other[0], event
    folder = category if (_EVENTS / category).is_dir() else near(category, (path.name for path in _EVENTS.iterdir()))
    close = _of_call(folder, event) if folder else ""
    close = close or (near(event, (path.name for path in (_EVENTS / folder).iterdir())) if folder else "")
    return (folder, close) if close else None


def kprobe_advice(function: str) -> str:
    """Return what to do about a kernel function that no kprobe could be attached to."""
    call = re.sub(r"^(?:__\w+_)?sys_", "", function)
    meant = _of_call("syscalls", call)
    event = f"TRACEPOINT_PROBE(syscalls, {meant})" if meant else ""
    if not _EVENTS.with_name("kprobe_events").exists():
        return f"this kernel has no kprobes; use {event or 'a tracepoint: TRACEPOINT_PROBE(category, event)'}"
    symbols = set(re.findall(r" [tT] (\w+)", text_or_empty(_SYMBOLS)))
    if not symbols:
        return "check the name of the function"
    if function in symbols:
        return "the kernel has this function, but lets nobody probe it (notrace, or NOKPROBE): choose one that it calls"
    close = near(function, symbols)
    return "the kernel has no such function, or clang put it into its callers" + (
        f"; did you mean {close}?" if close else ""
    )
