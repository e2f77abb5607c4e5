# SPDX-License-Identifier: Apache-2.0
"""Compile, attach, read and detach BPF programs written in BCC's C.

    with Program("hello") as program:         # c/bpf/hello.c
        program.aim(pid=workload.pid)         # whom to watch: no recompiling
        program.attach()
        ...
        program.counters("hello_count")       # maps as NumPy arrays

Leaving the block detaches everything. The kernel detaches what a killed process held: each link is an open file.
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.bpf import bcc, maps, proginfo
from labkit.bpf.capture import captured
from labkit.bpf.compile import Compiled, compile_source
from labkit.bpf.diagnose.events import kprobe_advice
from labkit.bpf.diagnose.refused import nothing_left
from labkit.bpf.load import KINDS, log_of_all_paths, prefix_of, try_load
from labkit.bpf.shelf import SHELF
from labkit.bpf.text import BPF_FOLDER, Source
from labkit.bpf.verifier import explain
from labkit.errors import AttachError, BadArgument, CompileError, LabkitError, VerifierError, unknown_name
from labkit.machine import refusals
from labkit.machine.pidns import own_pid_namespace
from labkit.running import owner
from labkit.running.interrupts import uninterrupted

__all__ = ["TRACING", "Program"]

TRACING = Path("/sys/kernel/tracing")

_TARGET = np.dtype([("pidns_dev", "u8"), ("pidns_ino", "u8"), ("cgroup_id", "u8"), ("pid", "u4"), ("mode", "u4")])
_ONE, _SEVERAL, _CGROUP, _EVERYBODY = 1, 2, 3, 4  # enum labkit_mode in c/bpf/labkit.h


class Program:
    """A BPF program, loaded on entering and detached on leaving.

    Parameters
    ----------
    name : stem of a file of `c/bpf/`, such as "hello".
    source : instead of a name, the path of a learner's own C file.
    flags : macros given to clang as -DNAME=VALUE.
    rewrite : makes the text that is compiled from the file's own; refusals are explained with the file's own.

    A program that was loaded before with the same text and flags is taken from the shelf with its maps emptied:
    a rerun from a widget does not compile again.

    Raises
    ------
    BadArgument : no such file in `c/bpf/`, or a flag that is not a C identifier.
    CompileError : clang refused it; the diagnostics carry the learner's file and line.
    VerifierError : the kernel refused it; says why.
    AttachError : an event that this kernel does not have.
    Missing : no BCC, no kernel headers, or no privilege.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        source: Path | str | None = None,
        flags: Mapping[str, int | str] | None = None,
        rewrite: Callable[[Source], Source] | None = None,
    ) -> None:
        if (name is None) == (source is None):
            raise BadArgument("A program needs a name or a source.", 'write Program("hello") or Program(source=path)')
        if source is None:
            known = {path.stem: path for path in sorted(BPF_FOLDER.glob("*.c"))}
            if name not in known:
                raise unknown_name("name", name, known)
            source = known[name]
        self.path = Path(source).resolve()
        if not self.path.is_file():
            raise BadArgument(f"source={str(source)!r} is not a file.", "pass the path of a C file")
        self.name = self.path.stem
        self.flags = {key: str(value) for key, value in (flags or {}).items()}
        self.source = Source.of(self.path, self.flags)
        self.rewritten = rewrite(self.source) if rewrite else self.source
        self._compiled: Compiled | None = None
        self._misses_before = 0
        self._is_whole = False
        self._held: owner.Held | None = None

    def __enter__(self) -> Program:
        self._held = owner.acquire(f"program {self.name}", self._take, self._give_back, by=self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._held is not None:
            self._held.close()

    def opened(self) -> None:
        """Take what a kind of program needs as long as its block runs; called when it is loaded."""

    def closing(self) -> None:
        """Give back what `opened` took, in part or whole; called when it is detached."""

    def _take(self) -> None:
        if refused := refusals.too_few_files():
            raise refused
        self._compiled = SHELF.take(self.rewritten.key) or compile_source(self.rewritten)
        self.load()
        self._misses_before = self._misses()
        self.opened()
        self._is_whole = True

    def _give_back(self) -> None:
        """Detach it and keep it for a rerun; unload it where it was not loaded as a whole, or does not detach."""
        if self._compiled is None:
            return
        is_whole, self._is_whole = self._is_whole, False
        try:
            try:
                self.detach()
            finally:
                self.closing()
        except Exception:  # BCC raises bare Exception
            self._unload()
            raise
        if not is_whole:
            self._unload()
            return
        compiled, self._compiled = self._compiled, None
        SHELF.put(self.rewritten.key, compiled)

    def _unload(self) -> None:
        """Give up the program and its maps instead of keeping them for a rerun."""
        compiled, self._compiled = self._compiled, None
        if compiled is not None:
            compiled.module.close()

    @property
    def bcc(self) -> Any:
        """The `bcc.BPF` object underneath, for what this class does not wrap."""
        if self._compiled is None:
            raise LabkitError(f"{self.name} is not loaded.", "use it inside its `with` block")
        return self._compiled.module

    @property
    def is_loaded(self) -> bool:
        """Whether its block runs."""
        return self._compiled is not None

    @property
    def functions(self) -> list[str]:
        """The names of its BPF functions, in BCC's spelling: tracepoint__CATEGORY__EVENT, …"""
        return bcc.functions(self.bcc)

    @property
    def map_names(self) -> list[str]:
        """The names of its maps."""
        return bcc.map_names(self.bcc)

    @property
    def warnings(self) -> str:
        """What clang and BCC printed when they accepted it."""
        return self._compiled.said if self._compiled is not None else ""

    def load(self) -> dict[str, int]:
        """Load every function whose name says what it is; return their file descriptors by name."""
        named = {name: prefix for name in self.functions if (prefix := prefix_of(name))}
        return {name: self.load_function(name, KINDS[prefix]) for name, prefix in named.items()}

    @uninterrupted()
    def load_function(self, function: str, kind: str) -> int:
        """Give one function to the verifier and return its file descriptor.

        Parameters
        ----------
        function : its name in the C file.
        kind : BCC's name of the program type: "KPROBE" (also for uprobes), "TRACEPOINT", "PERF_EVENT", …
        """
        if function not in self.functions:
            raise unknown_name("function", function, self.functions)
        return bcc.loaded(self.bcc, function, lambda: self._load_now(function, bcc.program_type(kind)))

    def _load_now(self, function: str, program_type: int) -> int:
        fd, error, said = try_load(self.bcc, function, program_type)
        if fd < 0:
            raise self._refusal(function, program_type, error, said)
        return fd

    def _refusal(self, function: str, program_type: int, error: int, said: str) -> LabkitError:
        """Return the error for a function that the kernel did not load."""
        reason = os.strerror(error)
        if not bcc.size_of(self.bcc, function):
            return nothing_left(self.source, function)
        if said.strip():
            is_as_written = self.rewritten is self.source
            found = explain.diagnose(self.source, function, program_type, self.warnings, said if is_as_written else "")
            if found.kind == explain.ACCEPTED and not is_as_written:
                return CompileError(f"What was added to {function} is refused.", "pass count_losses=False")
            return found.error()
        if refused := refusals.refusal(f"{function} could not be loaded", "bpf", reason):
            return refused
        return VerifierError(f"The kernel refused {function}: {reason}, and did not say why.", "see `labkit doctor`")

    def verifier_log(self, function: str) -> str:
        """Return all that the verifier says while it checks a function, accepted or not."""
        kind = KINDS.get(prefix_of(function), "KPROBE")
        return log_of_all_paths(self.bcc, function, bcc.program_type(kind))

    # -- whom to watch ---------------------------------------------------------------------------

    def aim(
        self, *, pid: int | Collection[int] | None = None, cgroup: Path | None = None, everybody: bool = False
    ) -> None:
        """Choose whom the program watches, at once and without recompiling (`labkit_is_target` in labkit.h).

        Parameters
        ----------
        pid : a process id, or several, as this process sees them; right inside a container's pid namespace too.
        cgroup : a cgroup v2 folder; each process in it is watched.
        everybody : every process of the machine. Only where the lesson says so.
        """
        if [pid is not None, cgroup is not None, everybody].count(True) != 1:
            raise BadArgument("aim() needs one target.", "pass one of pid=, cgroup= or everybody=True")
        pids = [pid] if isinstance(pid, int) else list(pid or ())
        for each in pids[:1]:  # of the others some may have ended meanwhile
            if not Path(f"/proc/{each}").exists():
                raise BadArgument(f"pid={each!r} is not a running process.", "pass the id of a process that runs")
        target = np.zeros(1, dtype=_TARGET)
        namespace = own_pid_namespace()
        if not namespace.is_initial:
            target["pidns_dev"], target["pidns_ino"] = namespace.device, namespace.inode
        if cgroup is not None:
            # the kernel's cgroup id is the inode number of the cgroup's folder
            target["mode"], target["cgroup_id"] = _CGROUP, Path(cgroup).stat().st_ino
        elif everybody:
            target["mode"] = _EVERYBODY
        elif pids:
            target["mode"], target["pid"] = _ONE, pids[0]
        maps.clear(self.bcc, "labkit_pids", *({"labkit_children"} & set(self.map_names)))
        maps.write_array(self.map_fd("labkit_target"), target)
        if pids[1:]:
            self.also(*pids[1:])

    def also(self, *pids: int) -> None:
        """Watch these too, after `aim(pid=...)`; what was forked since stays watched."""
        target = maps.read_array(self.map_fd("labkit_target"), _TARGET)
        for each in (target["pid"][0], *pids):
            self.table("labkit_pids")[ct.c_uint32(each)] = ct.c_uint8(1)
        target["mode"] = _SEVERAL
        maps.write_array(self.map_fd("labkit_target"), target)

    @contextlib.contextmanager
    def watching(self, *pids: int, attach: Callable[[], None] | None = None) -> Iterator[Program]:
        """Watch processes during a block: aim at them, attach, and detach at its end.

            with Workload("hello") as run, program.watching(run.pid):
                told = run.go()

        Parameters
        ----------
        pids : as of `aim`.
        attach : attaches what needs more than its name says, such as uprobes; None is `self.attach`.
        """
        self.aim(pid=pids)
        try:
            (attach or self.attach)()
            yield self
        finally:
            self.detach()

    # -- attach and detach -----------------------------------------------------------------------

    def attach(self, wanted: Callable[[str], bool] = bool) -> None:
        """Attach every function whose name says where (BCC's naming convention); `wanted(name)` may leave it out."""
        for function in filter(wanted, self.functions):
            self._attach_by_name(function, prefix_of(function))

    def attach_perf_event(self, function: str, **options: Any) -> None:
        """Run `function` at each overflow of a perf event; options as of `bcc.BPF.attach_perf_event`."""
        self.load_function(function, "PERF_EVENT")
        self._attach(function, "a perf event", self.bcc.attach_perf_event, fn_name=function.encode(), **options)

    def attach_uprobe(
        self, function: str, binary: Path | str, symbol: str = "", *, at_return: bool = False, **options: Any
    ) -> None:
        """Run `function` when `symbol` of `binary` is entered, or returns; `addr=` takes an offset instead."""
        self.load_function(function, "KPROBE")
        attach = self.bcc.attach_uretprobe if at_return else self.bcc.attach_uprobe
        if symbol:
            options["sym"] = symbol.encode()
        self._attach(
            function, f"{binary}:{symbol}", attach, name=str(binary).encode(), fn_name=function.encode(), **options
        )

    @uninterrupted()
    def detach(self) -> None:
        """Detach everything. The program stays loaded and its maps keep what they counted."""
        bcc.detach_all(self.bcc)

    def _attach_by_name(self, function: str, prefix: str) -> None:
        bpf, name, event = self.bcc, function.encode(), function.removeprefix(prefix)
        match prefix:
            case "tracepoint__":
                event = event.replace("__", ":", 1)
                self._attach(function, event, bpf.attach_tracepoint, tp=event.encode(), fn_name=name)
            case "raw_tracepoint__":
                self._attach(function, event, bpf.attach_raw_tracepoint, tp=event.encode(), fn_name=name)
            case "kprobe__" | "kretprobe__":
                real = bpf.fix_syscall_fnname(event.encode())
                attach = bpf.attach_kprobe if prefix == "kprobe__" else bpf.attach_kretprobe
                self._attach(function, real.decode(), attach, event=real, fn_name=name)
            case "kfunc__" | "kretfunc__":
                attach = bpf.attach_kfunc if prefix == "kfunc__" else bpf.attach_kretfunc
                with contextlib.suppress(AttachError):
                    return self._attach(function, event, attach, fn_name=name)
                bcc.unload(self.bcc, function)  # Linux 5.10 attaches an fentry program only once
                self._attach(function, event, attach, fn_name=name)

    @uninterrupted()
    def _attach(self, function: str, event: str, attach: Any, /, **arguments: Any) -> None:
        try:
            with captured() as said:
                attach(**arguments)
        except Exception as cause:  # BCC raises bare Exception
            detail = "\n".join(part for part in (str(cause), said.text()) if part)
            what = f"{function} could not be attached to {event}"
            call = "bpf" if "bpf_" in detail and "perf_event_open" not in detail else "perf_event_open"
            if refused := refusals.no_tracefs() or refusals.refusal(what, call, said.text()):
                raise refused from None
            is_kprobe = function.startswith(("kprobe__", "kretprobe__"))
            advice = kprobe_advice(event) if is_kprobe else _nearest_event(event)
            raise AttachError(f"{function} could not be attached to {event}.", advice, detail) from None

    # -- reading maps ----------------------------------------------------------------------------

    def table(self, name: str) -> Any:
        """Return BCC's table object, for maps that the methods below do not read."""
        self.map_fd(name)
        return self.bcc[name.encode()]

    def map_fd(self, name: str) -> int:
        """Return a map's file descriptor; also for map types that BCC's Python does not know."""
        fd = bcc.map_fd(self.bcc, name)
        if fd < 0:
            raise unknown_name("map", name, self.map_names)
        return fd

    def counters(self, name: str, dtype: npt.DTypeLike = np.uint64) -> npt.NDArray[Any]:
        """Return an array map's values, each summed over the CPUs if it is a per-CPU array."""
        values = maps.read_array(self.map_fd(name), dtype)
        return values.sum(axis=1) if values.ndim == 2 else values

    def histogram(self, name: str) -> npt.NDArray[np.int64]:
        """Return the counts by bucket of a `LABKIT_BUCKETS` map (`labkit.stats.histogram` reads them)."""
        return self.counters(name).astype(np.int64)

    def hash(self, name: str) -> dict[Any, Any]:
        """Return a hash map as a dict of plain Python values; a struct as key is a tuple, as value a dict."""
        return {bcc.plain_key(key): bcc.plain(leaf) for key, leaf in self.table(name).items()}

    def clear(self, *names: str) -> None:
        """Set the named maps (all, if none is named) to zeros, or empty; with labkit_lost, forget missed runs."""
        if not names or "labkit_lost" in names:
            self._misses_before = self._misses()
        maps.clear(self.bcc, *names)

    @property
    def lost_events(self) -> int:
        """Events that are missing: no room in a map or a ring buffer, or the kernel skipped the program."""
        return int(self.counters("labkit_lost")[0]) + self.missed_runs

    @property
    def missed_runs(self) -> int:
        """Runs that the kernel skipped since the maps were cleared, of any process: another BPF program was running.

        `recursion_misses` of struct bpf_prog_info (bpf(2)); tracepoints count theirs since Linux 6.7.
        """
        return self._misses() - self._misses_before

    def _misses(self) -> int:
        return sum(proginfo.query(fd).recursion_misses for fd in bcc.loaded_by_name(self.bcc).values())


def _nearest_event(event: str) -> str:
    """Return advice for an event that could not be attached to."""
    if ":" in event and not event.startswith("/"):
        category, _, name = event.partition(":")
        if not TRACING.joinpath("events").is_dir():
            return "mount tracefs: mount -t tracefs tracefs /sys/kernel/tracing"
        known = [path.name for path in TRACING.joinpath("events", category).glob("*") if path.is_dir()]
        if name not in known:
            return str(unknown_name("event", event, [f"{category}:{other}" for other in known] or [category]).what)
    return "check the name of the event, and `labkit doctor` for what this kernel has"
