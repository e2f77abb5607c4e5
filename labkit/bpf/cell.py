# SPDX-License-Identifier: Apache-2.0
"""A learner's own program: its records, maps and losses as frames.

    with Cell("opens.c") as opens:
        opens.aim(pid=...); opens.attach()
        ...
        opens.events("events")          # a row per record
        opens.map("counts")             # a row per entry
        opens.losses()                  # a row per cause

What `%%bpf` leaves under the name of its cell is one of these.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labkit.bpf import bcc, losses, maps
from labkit.bpf.btf import fetch
from labkit.bpf.collect import PERF_BUFFER, RING_BUFFER, Collector
from labkit.bpf.counted import counted
from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.effects import never_filled
from labkit.bpf.fields import Field, fields_of, frame_of
from labkit.bpf.losses import Loss
from labkit.bpf.maps import MapShape
from labkit.bpf.pack import packed
from labkit.bpf.price import metered
from labkit.bpf.program import Program
from labkit.bpf.reading import Reading
from labkit.bpf.records import chosen, records_of
from labkit.bpf.symbolize import stacks
from labkit.errors import BadArgument, LabkitError, check_bool, check_float, check_int, unknown_name
from labkit.machine.btf import BTF

__all__ = ["Cell"]

_BUFFERS = (RING_BUFFER, PERF_BUFFER)
_READABLE = (1, 2, 5, 6, 9, 10, maps.LPM_TRIE)
_ROWS = {3: "programs", 8: "cgroups", 12: "maps", 13: "maps", 14: "devices", 15: "sockets", 16: "CPUs", 18: "sockets"}
_AIM = {"labkit_target", "labkit_pids", "labkit_children", "labkit_operands"}  # what is not emptied: it was set


class Cell(Program):
    """A learner's program, with what it sends and keeps as frames.

    Parameters
    ----------
    source : the path of the C file.
    flags : macros given to clang as -DNAME=VALUE.
    count_losses : False compiles the text as it is: refused records and updates are not counted then, and records
        have no fields.

    Errors are those of `Program`.
    """

    def __init__(
        self, source: Path | str, *, flags: Mapping[str, int | str] | None = None, count_losses: bool = True
    ) -> None:
        super().__init__(source=source, flags=flags, rewrite=counted if count_losses else None)
        self._collectors: dict[str, Collector] = {}

    def __enter__(self) -> Cell:
        super().__enter__()
        return self

    def opened(self) -> None:
        """Start to collect what each buffer gets."""
        for name in self.own_maps:
            if self.is_buffer(name) and (records := records_of(self._types, name)):
                self._collectors[name] = Collector(name, self.map_fd(name), max(one.size for one in records))

    def closing(self) -> None:
        """Stop collecting; what was kept can still be read."""
        with contextlib.ExitStack() as later:
            for collector in self._collectors.values():
                later.callback(collector.close)

    @property
    def own_maps(self) -> list[str]:
        """The names of the maps that the program itself declares."""
        return sorted(name for name in self.map_names if not name.startswith("labkit_"))

    # -- reading ---------------------------------------------------------------------------------

    def events(self, name: str, *, last: int | None = None, of: str = "") -> Reading:
        """Return the records of a ring buffer or perf buffer since the program was loaded, or cleared.

        Parameters
        ----------
        name : of the buffer, as the C file declares it.
        last : only the newest this many records, 1 to a million; None is all of them.
        of : the C type whose records are wanted, where the program sends several types to the buffer.

        Returns
        -------
        One row per record, in the order of arrival; one column per field of the C type (see `labkit.bpf.fields`).
        `attrs`: lost_events; warnings (what was lost, and why); capacity_records (how many the lab keeps),
        buffer_records (how many wait in the kernel at most), notes. Reading takes nothing away.

        Raises
        ------
        BadArgument : no such map; a map that is no buffer; several types of records and `of` names none.
        LabkitError : the type of the records is not known.
        """
        told = self.shape(name)
        last = None if last is None else check_int("last", last, 1, 1_000_000, "records")
        if told.kind not in _BUFFERS:
            raise BadArgument(f"{name} is not a ring buffer or a perf buffer.", f'read it as {self.name}.map("{name}")')
        records = records_of(self._types, name)
        if not records or name not in self._collectors:
            raise LabkitError(
                f"{self.name} sends no record of a known C type to {name}.",
                f"send a struct that is not empty: {name}.ringbuf_output(&event, sizeof(event), 0)",
            )
        collector = self._collectors[name]
        sink = collector.sink
        record = chosen(records, of, name, self.name, is_ring=collector.is_ring)
        size = record.in_buffer(collector.is_ring) if len(records) > 1 else None
        rows = collector.rows(last, size)
        made = Reading(frame_of(rows, list(record.fields)), copy=False)
        waiting = collector.buffer_bytes // (-(-record.size // 8) * 8 + 8)
        each = "" if collector.is_ring else " per CPU"
        notes = [
            f"{sink.count} records of {collector.record_bytes} bytes. The kernel holds about {waiting}{each}; the "
            f'lab keeps the first {collector.capacity:,}, until {self.name}.clear("{name}").'
        ]
        is_only = len(records) == 1
        if not is_only:
            notes[0] = f"{len(rows)} of the {sink.count} records are of the type {record.name}. " + notes[0]
        if is_only and sink.shorter:
            notes.append(f"{sink.shorter} records were shorter than their C type: what is missing reads as zeros.")
        if is_only and sink.longer:
            notes.append(f"{sink.longer} records were longer than their C type: only the head of each is here.")
        return self._told(made, name, notes, collector)

    def map(self, name: str, *, per_cpu: bool = False, pid: int | None = None) -> Reading:
        """Return what a map holds.

        Parameters
        ----------
        name : of the map, as the C file declares it.
        per_cpu : of a per-CPU map, one row per entry and CPU (column cpu) instead of the sum over the CPUs. A value
            with fields that are no whole numbers has always one row per CPU.
        pid : of a map of stacks, the process whose functions are to be named.

        Returns
        -------
        One row per entry; the columns are the fields of the key and then of the value (see `labkit.bpf.fields`):
        `key` and `value` where they are no structs. A map of stacks has stack_id and stack. `attrs`: lost_events,
        warnings, notes.

        Raises
        ------
        BadArgument : no such map, or one whose contents user space cannot read.
        """
        told = self._no_buffer(name)
        check_bool("per_cpu", per_cpu)
        if told.kind == maps.STACK_TRACE:
            return self._told(Reading(stacks(self.map_fd(name), pid)), name, [])
        if told.kind not in _READABLE:
            what = _ROWS.get(told.kind, "values that are read only by taking them out")
            raise BadArgument(f"{name} holds {what}: it has no rows to show.", "copy what you want to see into a hash")
        keys, values = maps.read_raw(self.map_fd(name))
        key, value = self._fields(name, told)
        notes = [f"{len(keys):,} of {told.entries:,} entries."]
        if not len(keys) and (why := never_filled(Code(self.path.read_text("utf-8")), name)):
            notes.append(why)
        if told.per_cpu:
            keys, values, cpus, note = _of_cpus(keys, values, told, value, per_cpu)
            notes.append(note)
        else:
            cpus = None
        both = {one.name for one in key} & {one.name for one in value}
        columns = {f"key.{one}" if one in both else one: column for one, column in frame_of(keys, key).items()}
        if cpus is not None:
            columns["cpu"] = cpus
        held = values if isinstance(values, dict) else frame_of(values, value)
        columns |= {f"value.{one}" if one in both else one: column for one, column in held.items()}
        return self._told(Reading(columns, copy=False), name, notes)

    def is_buffer(self, name: str) -> bool:
        """Return whether a map is a ring buffer or a perf buffer. Raises BadArgument for an unknown name."""
        return self.shape(name).kind in _BUFFERS

    def price(self, seconds: float = 1.0) -> pd.DataFrame:
        """Return what the program costs while it is attached, from the kernel's own statistics.

        Parameters
        ----------
        seconds : how long to look, 0.01 to 600. Let something run meanwhile that the program watches.

        Returns
        -------
        One row per function: see `labkit.bpf.price.metered`. The statistics are on only during this call.
        """
        seconds = check_float("seconds", seconds, 0.01, 600, "seconds")
        with metered(self) as told:
            time.sleep(seconds)
            return told()

    def losses(self) -> pd.DataFrame:
        """Return what the program lost since its maps were cleared: map, cause, count, fix; one row per cause."""
        found = self._losses()
        names = ("map", "cause", "count", "fix")
        return pd.DataFrame({one: [getattr(each, one) for each in found] for one in names})

    def hash(self, name: str) -> dict[Any, Any]:
        """Return a hash map as a dict of plain Python values; a struct as key is a tuple, as value a dict."""
        self._no_buffer(name)
        return super().hash(name)

    def counters(self, name: str, dtype: Any = np.uint64) -> Any:
        """Return an array map's values, each summed over the CPUs if it is a per-CPU array."""
        self._no_buffer(name)
        return super().counters(name, dtype)

    @property
    def lost_events(self) -> int:
        """Records and updates that are missing, whoever counted them, and runs that the kernel skipped."""
        own = int(super().counters("labkit_lost")[0]) if "labkit_lost" in self.map_names else 0
        return max(own, sum(one.count for one in self._losses())) + self.missed_runs

    # -- writing ---------------------------------------------------------------------------------

    def set(self, name: str, key: Any, value: Any) -> None:
        """Write one entry of a map; of a per-CPU map, the same value for each CPU.

        Parameters
        ----------
        key, value : numbers, text, or a dict of the fields of a struct (see `labkit.bpf.pack`).

        Raises
        ------
        BadArgument : no such map, a map of another kind, or a value that does not fit its C type.
        LabkitError : the kernel refused, for instance because the map is full.
        """
        told = self.shape(name)
        if told.kind not in _READABLE:
            raise BadArgument(f"{name} has no entries to write.", "set entries of a hash or an array")
        types = self._types
        if types is None or not told.value_type:
            raise LabkitError(f"The C types of {name} are not known here.", f'write {self.name}.table("{name}")[…] = …')
        raw = packed(types, told.value_type, value, "value")
        if told.per_cpu:
            raw = raw.ljust(-(-len(raw) // 8) * 8, b"\0") * maps.possible_cpus()
        try:
            maps.write_raw(self.map_fd(name), packed(types, told.key_type, key, "key"), raw)
        except OSError as error:
            is_array = told.kind in (maps.ARRAY, maps.PERCPU_ARRAY)
            what = f"its keys are 0 to {told.entries - 1}" if is_array else f"it has room for {told.entries} entries"
            fix = f"pass a key below {told.entries}" if is_array else "clear the map, or declare more entries"
            raise LabkitError(f"{name} refused key={key!r}: {error.strerror}; {what}.", fix) from None

    def clear(self, *names: str) -> None:
        """Empty the named maps and buffers (all, if none is named), and forget what they lost. The aim stays.

        Raises
        ------
        BadArgument : no such map.
        """
        for name in names:
            if (kind := self.shape(name).kind) not in (*_BUFFERS, *_READABLE, maps.STACK_TRACE):
                raise BadArgument(
                    f"{name} holds {_ROWS.get(kind, 'values')} that cannot be emptied.", "run the cell again"
                )
        for name in names or self.own_maps:
            if name in self._collectors:
                self._collectors[name].clear()
        if names:
            super().clear(*names)
            for name in names:
                losses.forget(self.bcc, name)
        else:
            super().clear(*(name for name in self.map_names if name not in _AIM))

    def aim(  # type: ignore[override]
        self,
        *,
        pid: int | Collection[int] | None = None,
        cgroup: Path | None = None,
        everybody: bool = False,
        clear: bool = False,
    ) -> str | None:
        """Choose whom the program watches, as `Program.aim`.

        Parameters
        ----------
        clear : empty all maps and buffers first. Otherwise what was counted before stays, and the answer says so.
        """
        super().aim(pid=pid, cgroup=cgroup, everybody=everybody)
        if clear:
            self.clear()
            return None
        held = [name for name in self.own_maps if self._holds(name)]
        if not held:
            return None
        return f"{', '.join(held)}: the earlier counts continue. To start from zero: {self.name}.clear()"

    # -- within ----------------------------------------------------------------------------------

    def shape(self, name: str) -> MapShape:
        """Return what the kernel says of a map: its kind, id and sizes. Raises BadArgument for an unknown name."""
        if not isinstance(name, str) or bcc.map_fd(self.bcc, name) < 0:
            raise unknown_name("map", name, self.own_maps or ["(the program declares none)"])
        return maps.shape(self.map_fd(name))

    def _no_buffer(self, name: str) -> MapShape:
        """Return what the kernel says of a map with keys and values; raise BadArgument for a buffer."""
        if self.is_buffer(name):
            what = f"{name} is a buffer of records: it has no keys and values."
            raise BadArgument(what, f'read {self.name}.events("{name}")')
        return self.shape(name)

    def _holds(self, name: str) -> bool:
        if name in self._collectors:
            return bool(len(self._collectors[name].rows(last=1)))
        if self.shape(name).kind not in _READABLE:
            return False
        keys, values = maps.read_raw(self.map_fd(name))
        is_array = self.shape(name).kind in (maps.ARRAY, maps.PERCPU_ARRAY)
        return bool(values.any()) if is_array else bool(len(keys))

    @cached_property
    def _types(self) -> BTF | None:
        """The types of the program; None where the kernel or BCC has no BTF."""
        shapes = (maps.shape(self.map_fd(name)) for name in self.map_names)
        return fetch(next((told.btf for told in shapes if told.btf), 0))

    def _fields(self, name: str, told: MapShape) -> tuple[list[Field], list[Field]]:
        """Return the fields of a map's keys and values; plain bytes where the types are not known."""
        types = self._types
        if types is None or not told.key_type:
            code = {1: "u1", 2: "u2", 4: "u4", 8: "u8"}
            return tuple(
                [Field(name, 0, size, code.get(size, "bytes"))]
                for name, size in (("key", told.key_bytes), ("value", told.value_bytes))
            )  # type: ignore[return-value]
        return fields_of(types, told.key_type, "key"), fields_of(types, told.value_type, "value")

    def _losses(self) -> list[Loss]:
        found = losses.losses(self.bcc)
        for name, collector in self._collectors.items():
            if overflow := collector.sink.overflow:
                cause = f"records of {name} arrived when the lab already kept {collector.capacity:,}"
                found.append(Loss(name, cause, overflow, f'read and {self.name}.clear("{name}")'))
        return found

    def _told(self, made: Reading, name: str, notes: list[str], collector: Collector | None = None) -> Reading:
        """Return a frame with what to know of it."""
        found = [one for one in self._losses() if one.map in (name, "")]
        made.attrs |= {"lost_events": sum(one.count for one in found), "notes": notes}
        made.attrs["warnings"] = [str(one) for one in found]
        if collector is not None:
            made.attrs |= {"capacity_records": collector.capacity, "buffer_bytes": collector.buffer_bytes}
        if losses.COUNTS not in self.map_names and self.rewritten is self.source and collector is not None:
            notes.append("Losses are not counted: the program was compiled as it is.")
        if self.missed_runs:
            notes.append(f"The kernel skipped {self.missed_runs} runs of the program: another one was running.")
        return made


def _of_cpus(keys: Any, values: Any, told: MapShape, fields: list[Field], per_cpu: bool) -> tuple[Any, Any, Any, str]:
    """Return the keys and the values of a per-CPU map: summed, or one row per CPU."""
    numbers = maps.possible()
    cpus = len(numbers)
    split = values.reshape(len(values), cpus, told.slot_bytes // cpus)[:, :, : told.value_bytes]
    flat = np.ascontiguousarray(split).reshape(len(values) * cpus, told.value_bytes)
    if per_cpu or not all(one.is_number for one in fields):
        return np.repeat(keys, cpus, axis=0), flat, np.tile(numbers, len(values)), "One row per CPU."
    summed = {
        name: np.asarray(column).reshape(len(values), cpus).sum(axis=1)
        for name, column in frame_of(flat, fields).items()
    }
    return keys, summed, None, f"Each value is the sum over {cpus} CPUs; per_cpu=True shows each."
