# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: whom to watch: a process that runs, a command that is started for it, or a cgroup.

Nothing here stops, traces or signals a process that was running before. Rests on /proc/PID/stat and /proc/PID/task
(proc(5)) and on pidfd_open(2).
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from labkit.errors import BadArgument, LabkitError, bad_argument, check_int, check_words
from labkit.machine import ending, proc
from labkit.machine.proc import stat_fields
from labkit.running import owner

__all__ = ["Running", "Target", "check_target"]

MOST_PIDS = 256  # room of labkit_pids in c/bpf/labkit.h
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD of include/linux/sched.h, in the flags of /proc/PID/stat
_ELF_32 = b"\x7fELF\x01"  # the first bytes of such a program, elf(5)
_HELD = 'read -r _ && exec "$@"'  # a shell that becomes the command when it gets a line
_END_S = 2.0


@dataclass(frozen=True)
class Target:
    """Whom to watch; one of the three is given."""

    pid: int | None = None
    command: tuple[str, ...] = ()
    cgroup: Path | None = None

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        if self.command:
            return Path(self.command[0]).name
        return f"process {self.pid}" if self.pid is not None else f"cgroup {self.cgroup}"


def check_target(pid: object, command: object, cgroup: object) -> Target:
    """Return whom to watch, or raise `BadArgument`; nothing has been started."""
    if [pid is not None, command is not None, cgroup is not None].count(True) != 1:
        raise BadArgument("watch() needs one target.", "pass one of pid=, command=[...] or cgroup=")
    if pid is not None:
        return Target(pid=_checked_pid(check_int("pid", pid, 1, 2**22)))
    if command is not None:
        return Target(command=_checked_command(command))
    try:
        folder = Path(cgroup)  # type: ignore[arg-type]
        is_cgroup = (folder / "cgroup.procs").is_file()
    except (TypeError, ValueError, OSError):
        is_cgroup = False
    if not is_cgroup:
        raise bad_argument("cgroup", cgroup, "the folder of a cgroup v2, in which there is a file cgroup.procs")
    return Target(cgroup=folder)


def _checked_pid(pid: int) -> int:
    state, flags = _stat(pid) or ("", 0)
    if not state:
        raise BadArgument(f"pid={pid} is not a running process.", "give the id of one that runs: see ps -e")
    if pid == os.getpid():
        raise BadArgument(f"pid={pid} is this notebook, and would watch itself watching.", "choose another process")
    if state in "ZX":
        raise BadArgument(f"pid={pid} has ended already (a zombie).", "give the id of a process that still runs")
    if flags & _KERNEL_THREAD:
        raise BadArgument(f"pid={pid} is a thread of the kernel.", "give the id of a program: see ps -e")
    if not Path(f"/proc/{pid}/task/{pid}").exists() or _group(pid) != pid:
        raise BadArgument(f"pid={pid} is a thread of process {_group(pid)}.", f"watch process {_group(pid)}")
    return pid


def _checked_command(command: object) -> tuple[str, ...]:
    if isinstance(command, (str, bytes)):
        raise bad_argument("command", command, 'a list of words, such as ["git", "status"]')
    words = check_words("command", command)
    if not words or not words[0]:
        raise bad_argument("command", command, 'a list of words, such as ["git", "status"]')
    found = shutil.which(words[0])
    if found is None and Path(words[0]).exists():
        raise BadArgument(
            f"The command {words[0][:100]!r} may not be executed.", "give the name or the path of a program"
        )
    if found is None:
        raise BadArgument(f"The command {words[0][:100]!r} does not exist.", "give the name or the path of a program")
    return (found, *words[1:])


def _stat(pid: int) -> tuple[str, int] | None:
    """Return the state and the flags of a process; None if there is none."""
    try:
        fields = stat_fields(Path(f"/proc/{pid}"))
        return fields[0], int(fields[6])
    except (OSError, ValueError, IndexError):
        return None


def _group(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in proc.lines(Path(f"/proc/{pid}/status")):
            if line.startswith("Tgid:"):
                return int(line.split()[1])
    return 0


@dataclass
class Running:
    """A target while it is watched. Leaving the block ends a command that was started for it, and nothing else."""

    target: Target
    pids: list[int] = field(default_factory=list)  # to aim at: the process and those that it had started before
    warnings: list[str] = field(default_factory=list)
    exit_status: int | None = None  # of a command that has ended
    elapsed_s: float = 0.0

    def __enter__(self) -> Running:
        self._comm = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._descriptor = -1
        self._held = owner.acquire(f"the target {self.target.name}", self._start, self._end)
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _start(self) -> None:
        if self.target.command:
            self._said = tempfile.TemporaryFile()
            self._process = subprocess.Popen(
                ["sh", "-c", _HELD, "sh", *self.target.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                start_new_session=True,  # by which its children are found at the end
            )
            self.pids = [self._process.pid]
        elif self.target.pid is not None:
            self._comm = _comm(self.target.pid)
            self.pids = [self.target.pid]
            state, _ = _stat(self.target.pid) or ("", 0)
            if state == "T":
                self._warn(f"{self.target.name} is stopped: `kill -CONT {self.target.pid}` lets it go on.")
            self.look_again()
        elif self.target.cgroup is not None:
            self._look_below(self.target.cgroup)
        if self.pids:
            try:
                self._descriptor = os.pidfd_open(self.pids[0])
            except ProcessLookupError:  # it ended after it was checked: compiling takes seconds
                raise BadArgument(
                    f"pid={self.pids[0]} has ended meanwhile.", "give the id of one that runs: see ps -e"
                ) from None

    def _look_below(self, cgroup: Path) -> None:
        """Say how many processes are in the cgroups below, which are not watched."""
        below = sum(_processes_in(Path(folder)) for folder, _, _ in os.walk(cgroup)) - _processes_in(cgroup)
        if below > 0:
            are = "1 process is" if below == 1 else f"{below} processes are"
            self._warn(f"{are} in cgroups below {cgroup}, and not watched: pass the cgroup that they are in.")
        elif not _processes_in(cgroup):
            self._warn(f"No process is in {cgroup}: only those that join it are watched.")

    @property
    def pid(self) -> int | None:
        """The process; None for a cgroup."""
        return self.pids[0] if self.pids else None

    @functools.cached_property
    def bits(self) -> int:
        """64, or 32 if its program was made for that: then its system calls have other numbers."""
        program = Path(self.target.command[0] if self.target.command else f"/proc/{self.pid}/exe")
        with contextlib.suppress(OSError), program.open("rb") as file:
            if file.read(5) == _ELF_32:
                self._warn(
                    f"{self.target.name} is a 32-bit program. Its waits for locks are not seen, and of children with "
                    "64 bits the names of the calls are wrong."
                )
                return 32
        return 64

    def look_again(self) -> list[int]:
        """Return the children of the process that were not known yet, and know them: compiling takes seconds."""
        if self.target.pid is None:
            return []
        found = _with_children(self.target.pid)
        if os.getpid() in found:
            self._warn(f"This notebook is a descendant of {self.target.name}, and is not watched.")
        if len(found) > MOST_PIDS:
            left = len(found) - MOST_PIDS
            self._warn(f"{left} of its {len(found) - 1} descendants are not watched: there is room for {MOST_PIDS}.")
        fresh = [pid for pid in found if pid not in self.pids and pid != os.getpid()][: MOST_PIDS - len(self.pids)]
        self.pids += fresh
        return fresh

    def _warn(self, said: str) -> None:
        if said not in self.warnings:
            self.warnings.append(said)

    def go(self) -> None:
        """Let a command begin."""
        self._began_s = time.monotonic()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(b"\n")
            self._process.stdin.close()

    def wait(self, timeout_s: float) -> bool:
        """Wait; return whether the process has ended."""
        if self._descriptor < 0:
            time.sleep(timeout_s)
            return False
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def note_time(self) -> None:
        """Note how long it was watched; detaching takes its time."""
        self.elapsed_s = time.monotonic() - self._began_s

    def finish(self, ended: bool) -> None:
        """Note how it went: called when nothing is attached any more."""
        name = self.target.name
        if self._process is not None:
            if not ended:
                self.warnings.append(f"{name} still ran after {self.elapsed_s:.1f} s, and was ended by the lab.")
            else:
                try:
                    if left := _kill_session(self._process.pid):
                        self.warnings.append(
                            f"{name} had ended, and {left} that it had started still ran: the lab ended them."
                        )
                except LabkitError as hanging:
                    self.warnings.append(f"{hanging.what} To do: {hanging.fix}.")
                self.exit_status = self._process.wait(ending.END_S)
                if self.exit_status:
                    self.warnings.append(f"{name} ended {_how(self.exit_status)}. {self._last_words()}".strip())
        elif ended:
            self.warnings.append(f"{name} ended after {self.elapsed_s:.1f} s.")
        elif self.pid is not None and _comm(self.pid) != self._comm:
            self.warnings.append(f"{name} was {self._comm!r} and became {_comm(self.pid)!r} (exec).")

    def _last_words(self) -> str:
        if self._said is None:
            return ""
        self._said.seek(0)
        lines = self._said.read(100_000).decode(errors="replace").strip().splitlines()
        return f"It said: {lines[-1][:200]}" if lines else ""

    def _end(self) -> None:
        try:
            if self._process is not None and self._process.returncode is None:
                self._process.terminate()
                self.wait(min(_END_S, ending.END_S))
                self._process.kill()
                _kill_session(self._process.pid)  # before its number may become another's
                ending.wait_killed(self._process)
        finally:
            if self._process is not None and self._process.stdin is not None:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
            if self._said is not None:
                self._said.close()
            if self._descriptor >= 0:
                os.close(self._descriptor)


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _processes_in(cgroup: Path) -> int:
    """Return how many processes are directly in a cgroup; none in one of threads, or that is gone."""
    try:
        return len(proc.text(cgroup / "cgroup.procs").split())
    except OSError:
        return 0


def _how(status: int) -> str:
    """Return in words how a process ended."""
    if status >= 0:
        return f"with status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:  # one of the real-time signals
        return f"by signal {-status}"


def _kill_session(leader: int) -> int:
    """End what runs in the session of a process, but for that one, and return how many there were.

    Raises
    ------
    LabkitError : one of them has not ended.
    """
    ended: set[int] = set()
    deadline_s = ending.deadline()
    while left := _in_session(leader):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended.update(left)
        if time.monotonic() > deadline_s:
            raise ending.hanging(left[0])
        time.sleep(0.001)
    return len(ended)


def _in_session(leader: int) -> list[int]:
    """Return the other processes that run in the session of a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, _, _, session, *_ = stat_fields(folder)
            if state not in "ZX" and int(session) == leader != int(folder.name):
                found.append(int(folder.name))
    return found


def _with_children(pid: int) -> list[int]:
    """Return a process and all that it and its children have started."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found
