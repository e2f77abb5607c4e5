# SPDX-License-Identifier: Apache-2.0
"""Build and run a C workload of `c/workloads/`: it gets ready, waits for "go", and answers with one JSON line.

    with Workload("hello", ["--runs", "23"]) as run:
        program.aim(pid=run.pid)           # the program is there, and does nothing yet
        result = run.go()                  # {"runs": 23, …}

Leaving the block ends the process and all its children. It dies with this process too (prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral
from pathlib import Path
from typing import IO, Any

from labkit.errors import WorkloadError, WorkloadUnable, bad_argument, unknown_name
from labkit.machine import ending, refusals
from labkit.machine.folders import build_folder, repo_folder
from labkit.running import owner
from labkit.running.progress import Tick

READY_TIMEOUT_S = 60.0
TICK_S = 0.1
ENDING_GRACE_S = 2.0
UNABLE = 77
_REFUSALS = {os.strerror(number): number for number in (errno.EPERM, errno.ENOSYS, errno.EMFILE)}
_REFUSED_CALL = re.compile(rf"(?:^|: )(?P<call>[a-z][a-z_0-9]*): (?P<said>{'|'.join(map(re.escape, _REFUSALS))})$")
# Options that a workload reports back under the same name. The others are limits ("--ios"), or may end up smaller
# ("--file-bytes").
SETTINGS = frozenset(
    "engine operation order cache block_bytes queue_depth batch wait_for durable sync_every rate how stop transport "
    "message_bytes connections".split()
)


def build(name: str) -> Path:
    """Compile a workload if its sources are newer, and return the executable.

    Its source is one file, `c/workloads/NAME.c` or `NAME.cc`, or a folder with a `main.c`: `c/workloads/NAME/`.
    """
    folder = repo_folder() / "c" / "workloads"
    files = {path.stem for path in folder.iterdir() if path.suffix in (".c", ".cc")}
    known = sorted(files | {path.parent.name for path in folder.glob("*/main.c")})
    if name not in known:
        raise unknown_name("name", name, known)
    executable = build_folder() / "workloads" / name
    if _is_fresh(executable, folder):
        return executable
    asked_ns = time.time_ns()
    try:
        made = subprocess.run(
            ["make", "-s", "-C", str(repo_folder() / "c"), name], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise WorkloadError("make is not installed.", "run `make setup`, or: sudo apt-get install make gcc") from None
    if made.returncode != 0:
        raise WorkloadError(
            f"{name} could not be compiled.", "fix the C file named below, or run `make setup`", made.stderr
        )
    # make leaves it as it was when the newer source is another workload's; then make would be asked every time
    with contextlib.suppress(PermissionError):
        os.utime(executable, ns=(asked_ns, asked_ns))
    return executable


def _is_fresh(executable: Path, sources: Path) -> bool:
    """Return whether the executable is newer than every source: asking make costs a quarter of a second."""
    try:
        built_ns = executable.stat().st_mtime_ns
    except FileNotFoundError:
        return False
    return all(path.stat().st_mtime_ns < built_ns for path in sources.rglob("*"))


def check_cpu(cpu: object) -> int:
    """Return the number of a CPU that this process may use, or raise `BadArgument` with all of them."""
    allowed = sorted(os.sched_getaffinity(0))  # not all below os.cpu_count(): some may be offline, or others' alone
    if isinstance(cpu, bool) or not isinstance(cpu, Integral) or cpu not in allowed:
        raise bad_argument("cpu", cpu, f"one that this process may use: {', '.join(map(str, allowed))}")
    return int(cpu)


class Workload:
    """A process of the lab, ready to go.

    Parameters
    ----------
    name : a file or folder of `c/workloads/`, such as "io_engines"; or the path of a program with the same contract.
    arguments : its options, as by hand: ["--block-bytes", "4096"].
    cpu : the CPU to run on; None lets the scheduler choose.
    folder : where it works: paths among its arguments may be relative to it; None is this process's own.
    ready_timeout_s : how long its setting up may take, in seconds.

    Raises
    ------
    BadArgument : no such workload, or a CPU that this process may not use.
    WorkloadError : it did not compile, failed (exit 1), was killed, hung, or printed something other than its JSON.
    WorkloadUnable : it said (exit 77) that it cannot run on this machine, and why.
    """

    def __init__(
        self,
        name: str | Path,
        arguments: Sequence[str] = (),
        *,
        cpu: int | None = None,
        folder: Path | None = None,
        ready_timeout_s: float = READY_TIMEOUT_S,
    ) -> None:
        program = name if isinstance(name, Path) else build(name)
        self.name = program.name
        self.command = [str(program), *map(str, arguments)]
        if cpu is not None:
            self.command += ["--cpu", str(check_cpu(cpu))]
        self._folder = folder
        self._ready_timeout_s = ready_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._held: owner.Held | None = None
        self._pending = b""
        self._said: IO[bytes] | None = None
        self._stderr = ""

    def __enter__(self) -> Workload:
        self._held = owner.acquire(f"workload {self.name}", self._launch, self._end, by=self)
        try:
            line = self._line(self._ready_timeout_s, None, "to get ready")
            if line != "ready":
                raise self._nonsense(line, "ready")
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._held is not None:
            self._held.close()

    def _launch(self) -> None:
        self._said = tempfile.TemporaryFile()
        # a session of its own: Ctrl-C in a terminal ends it through our __exit__, and its children with it
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            cwd=self._folder,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id, as this process sees it."""
        return self._running.pid

    @property
    def stderr(self) -> str:
        """What it has said to people."""
        if self._said is not None:
            self._said.seek(0)
            self._stderr = self._said.read().decode(errors="replace")
        return self._stderr

    def go(self, *, timeout_s: float = 120.0, tick: Tick | None = None) -> dict[str, Any]:
        """Let it work, wait for the end and return its JSON line.

        Parameters
        ----------
        timeout_s : how long the work may take, in seconds.
        tick : called about ten times per second with the seconds gone by; may raise to stop the work.
        """
        self.start()
        return self.result(timeout_s=timeout_s, tick=tick)

    def start(self) -> None:
        """Let it work, and return at once."""
        stdin = self._running.stdin
        assert stdin is not None
        try:
            stdin.write(b"go\n")
            stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None

    def stop(self) -> None:
        """Ask it to end early and tell what it has so far (SIGTERM)."""
        self._running.terminate()

    def result(self, *, timeout_s: float = 120.0, tick: Tick | None = None) -> dict[str, Any]:
        """Wait for the end of work that was started and return its JSON line."""
        line = self._line(timeout_s, tick, "to finish")
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            raise self._nonsense(line, "one line of JSON") from None
        if not isinstance(told, dict):
            raise self._nonsense(line, "a JSON object")
        if self._wait(timeout_s) != 0:
            raise self._failure()
        self._check_settings(told)
        return told

    def _check_settings(self, told: dict[str, Any]) -> None:
        """Raise `WorkloadError` if the workload did something other than it was asked for."""
        for option, asked in pairwise(self.command):
            name = option.removeprefix("--").replace("-", "_")
            if not option.startswith("--") or name not in SETTINGS or name not in told:
                continue
            reported = told[name]
            if not _is_same(reported, asked):
                raise WorkloadError(
                    f"{self.name} was asked for {option} {asked} and reports {str(reported)[:40]!r}.",
                    "this is a bug in the workload: its numbers are not those of the settings asked for",
                    self.stderr,
                )

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise WorkloadError(f"{self.name} is not running.", "use it inside its `with` block")
        return self._process

    def _line(self, timeout_s: float, tick: Tick | None, what: str) -> str:
        """Return the next line of its stdout."""
        stdout = self._running.stdout
        assert stdout is not None
        started = time.monotonic()
        with selectors.PollSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                gone_s = time.monotonic() - started
                if tick is not None:
                    tick(gone_s)
                if gone_s > timeout_s:
                    raise WorkloadError(
                        f"{self.name} took more than {timeout_s:g} s {what}.",
                        "ask for less work (fewer or smaller I/Os), or raise timeout_s",
                        self.stderr,
                    )
                if selector.select(TICK_S):
                    chunk = os.read(stdout.fileno(), 1 << 16)
                    if not chunk:
                        raise self._failure()
                    self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode(errors="replace")

    def _wait(self, timeout_s: float) -> int:
        try:
            return self._running.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise WorkloadError(
                f"{self.name} reported its result but did not end.", "this is a bug in the workload", self.stderr
            ) from None

    def _failure(self) -> WorkloadError:
        """Return the error for a process that ended without an answer."""
        status = self._wait(ENDING_GRACE_S)
        lines = [line for line in self.stderr.splitlines() if line.strip()]
        if status == UNABLE:
            reason = lines[-1].removeprefix(f"{self.name}: ") if lines else "it did not say why"
            return WorkloadUnable(
                f"{self.name} cannot run on this machine: {reason}",
                "see `labkit doctor` for what is missing and how to get it",
                self.stderr,
            )
        if status < 0:
            return WorkloadError(
                f"{self.name} was ended by {signal.Signals(-status).name}.",
                "run the cell again; if it happens again, look at `dmesg` (out of memory?)",
                self.stderr,
            )
        if lines and status == 1:
            if refused := _REFUSED_CALL.search(lines[0]):
                who, fix = refusals.who_refused(refused["call"], _REFUSALS[refused["said"]])
                what = (
                    f"{self.name} cannot run on this machine: {refused['call']} was refused ({refused['said']}) {who}."
                )
                return WorkloadUnable(what, fix, self.stderr)
            fix = lines[1].removeprefix("Fix: ") if len(lines) > 1 else "see its --help"
            what = lines[0].removeprefix(f"{self.name}: ")
            return WorkloadError(f"{self.name}: {what}", fix, "\n".join(lines[2:]))
        return WorkloadError(f"{self.name} ended with status {status} and no answer.", "see its --help", self.stderr)

    def _nonsense(self, line: str, wanted: str) -> WorkloadError:
        return WorkloadError(
            f"{self.name} printed {line[:80]!r} where {wanted} was due.",
            "this is a bug in the workload: run it by hand with --go",
            self.stderr,
        )

    def _end(self) -> None:
        """End the process and its children, gently first."""
        process, self._process = self._process, None
        try:
            if process is not None:
                _end(process)
        finally:
            if self._said is not None:
                said, self._stderr, self._said = self._said, self.stderr, None
                said.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError):
        if process.stdin is not None:
            process.stdin.close()  # end of file instead of "go" lets it leave by itself
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ENDING_GRACE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # its session's group: whatever children are left
    try:
        ending.wait_killed(process)
    finally:
        if process.stdout is not None:
            process.stdout.close()


def _is_same(reported: Any, asked: str) -> bool:
    """Return whether a workload reports the setting that it was asked for: a text, or a number in any spelling."""
    if isinstance(reported, str):
        return reported == asked
    try:
        return bool(reported == float(asked))
    except ValueError:
        return False
