# SPDX-License-Identifier: Apache-2.0
"""Rows on software: Python, libbpf, BCC, headers, the compiler, and the tools that the lessons compare with."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic

from labkit.errors import Missing
from labkit.machine.bcc import NEWER_CXX_LIBRARY, old_cxx_library
from labkit.machine.btf import KERNEL_BTF
from labkit.machine.doctor import privileges
from labkit.machine.doctor.programs import libbpf as load_libbpf
from labkit.machine.doctor.rows import Finding, as_root, missing, ok, package, refused
from labkit.machine.ending import ended, run
from labkit.machine.folders import build_folder, repo_folder
from labkit.machine.headers import CHOICE, kernel_headers, lacks
from labkit.machine.libbcc import library
from labkit.machine.patience import run_while_it_works
from labkit.machine.tools import find_tool

__all__ = ["bcc", "compiled", "compiler", "headers", "includes", "libbpf", "python", "strace", "tool"]

_TIMEOUT_S = 120
_SLOW_S = 60.0  # BCC's first compile takes 2 s on a PC; emulated, up to minutes
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_HEADERS = {"liburing.h": "liburing-dev", "libaio.h": "libaio-dev", "sys/sdt.h": "systemtap-sdt-dev"}


def python() -> Finding:
    """Load libbcc into this Python: an environment's own C++ library may be too old for it."""
    conda = " of conda" if (Path(sys.prefix) / "conda-meta").is_dir() else ""
    here = f"Python {platform.python_version()}{conda} in {sys.prefix}"
    try:
        library()
    except OSError as error:
        if old_cxx_library(error):
            return missing(f"{here} brings a C++ library that is older than libbcc needs: {error}", NEWER_CXX_LIBRARY)
        return missing(f"{here}: libbcc does not load: {error}", package("python3-bpfcc"))
    return ok(f"{here}; libbcc loads into it")


def libbpf() -> Finding:
    """Load libbpf, with which this doctor tries the kernel."""
    return ok(f"libbpf {load_libbpf().libbpf_version_string().decode().lstrip('v')} loads")


def headers() -> Finding:
    """Find kernel headers for BCC, or look at those that the reader has chosen."""
    chosen = os.environ.get(CHOICE)
    if chosen is not None:
        lacking = lacks(Path(chosen))
        if lacking:
            return missing(f"{CHOICE} is {chosen!r}, and there is no {lacking} in it", f"unset {CHOICE}")
        if not _is_the_labs(chosen):
            return ok(f"{CHOICE} is {chosen}")
    found = kernel_headers()
    passed = f"; {found.passed_over}" if found.passed_over else ""
    if found.exact:
        return ok(f"{found.kind}: the running kernel's own, in {found.path}{passed}")
    inside = (
        "the kernel's own structures come from its BTF" if KERNEL_BTF.exists() else "not for kernel-internal structs"
    )
    return ok(f"{found.kind}: those of {found.release} are used, in {found.path}; {inside}{passed}")


def _is_the_labs(chosen: str) -> bool:
    """Return True for the tree that the lab itself chooses for BCC, here or in the process that started this one."""
    try:
        return kernel_headers().environment.get(CHOICE) == chosen
    except Missing:
        return False


def bcc() -> Finding:
    """Compile and load a program with BCC, in a process of its own: clang writes its complaints on stderr."""
    command = [sys.executable, "-m", "labkit.machine.doctor.bcc_trial"]
    path = os.pathsep.join(filter(None, [str(repo_folder()), os.environ.get("PYTHONPATH", "")]))
    started = monotonic()
    try:
        done = run_while_it_works(command, {**os.environ, "PYTHONPATH": path})
    except subprocess.TimeoutExpired:
        why = f"the trial of bcc gave no answer in {monotonic() - started:.0f} s"
        return missing(why, f"{shlex.join(command)}  # please report this with what it prints")
    took_s = monotonic() - started
    lines = done.stderr.strip().splitlines()
    error = next((line.strip() for line in lines if "error:" in line), "")
    try:
        said = json.loads(done.stdout)
    except ValueError:
        last = error or (lines or [f"exit status {done.returncode}"])[-1]
        return missing(f"the trial of bcc ended without an answer: {last}", package("python3-bpfcc", "libbpfcc"))
    why = f"; {error}" if error and said["state"] != "ok" else ""
    if took_s > _SLOW_S:
        why += f"; slow: it took {took_s:.0f} s, and the first run of each measurement compiles too"
    return Finding(said["state"], said["reason"] + why, said["fix"])


def compiler() -> Finding:
    """Compile a C program and run it; look for the headers that the workloads include."""
    with compiled("int main(void) { return 23; }\n") as program:
        status = run([program], _TIMEOUT_S).returncode
    if status != 23:
        return missing(f"a compiled program ended with {status} instead of 23", package("gcc", "libc6-dev"))
    lacking = [header for header in _HEADERS if not includes(header)]
    if lacking:
        return missing(f"no {', '.join(lacking)}", package(*(_HEADERS[header] for header in lacking)))
    return ok(f"{_first_line([_cc(), '--version'])}: compiled and ran a program; {', '.join(_HEADERS)} are there")


def tool(
    name: str, ask: Sequence[str], *, package_name: str = "", ubuntu: str = "", then: str = ""
) -> Callable[[], Finding]:
    """Return a probe that runs a tool, asking its version.

    Parameters
    ----------
    name : the program, looked for on the path and where root's tools are.
    ask : the arguments that make it say its version.
    package_name, ubuntu : who brings it in Debian, and in Ubuntu where that differs.
    then : a command that is needed after the package.
    """

    def probe() -> Finding:
        path = find_tool(name)
        install = package(package_name or name, ubuntu=ubuntu) + (f" && {then}" if then else "")
        if path is None:
            return missing("not installed", install)
        try:
            said = _first_line([path, *ask]).removeprefix(path).strip()
            return ok(f"{path}: {said}")
        except (OSError, subprocess.SubprocessError) as error:
            return missing(f"{path} does not run: {error}", install)

    probe.__doc__ = f"Run {name} {' '.join(ask)}."
    return probe


def strace() -> Finding:
    """Run strace --version, and let strace follow a process of ours."""
    found = tool("strace", ["--version"])()
    if found.state != "ok":
        return found
    pipe = subprocess.PIPE
    with ended(subprocess.Popen(["cat"], stdin=pipe)) as ours:
        command = ["strace", "-p", str(ours.pid), "-o", "/dev/null"]
        with ended(subprocess.Popen(command, stderr=pipe, text=True)) as witness:
            assert witness.stderr is not None
            answers, _, _ = select.select([witness.stderr], [], [], _TIMEOUT_S)
            said = witness.stderr.readline().strip() if answers else "it says nothing"
    if "attached" in said:
        return ok(f"{found.reason}; it follows a process")
    why, fix = _why_not_followed()
    return refused(f"it may not follow a process: {said.removeprefix('strace: ')} ({why})", fix)


def _why_not_followed() -> tuple[str, str]:
    """Return who forbids ptrace(2), and the fix: the kernel's Documentation/admin-guide/LSM/Yama.rst."""
    scope = _YAMA.read_text().strip() if _YAMA.exists() else "0"
    if scope == "3":
        reason = "the sysctl kernel.yama.ptrace_scope is 3: nobody may, until the next boot"
        return reason, as_root("reboot  # and set kernel.yama.ptrace_scope to 1 or less in /etc/sysctl.d before")
    if scope != "0" and "CAP_SYS_PTRACE" not in privileges.effective():
        reason = f"no CAP_SYS_PTRACE, and the sysctl kernel.yama.ptrace_scope is {scope}"
        lower = as_root("sysctl -w kernel.yama.ptrace_scope=0")
        return reason, f"{lower}  # or be root, in a container with --cap-add=SYS_PTRACE"
    return privileges.why_refused()


@contextlib.contextmanager
def compiled(source: str) -> Iterator[Path]:
    """Compile C, give the path of the result, remove it.

    It is in the folder of what is built, for /tmp may be mounted noexec; elsewhere only where that may not be written.

    Raises
    ------
    Missing : there is no compiler, or it fails.
    """
    with tempfile.TemporaryDirectory(prefix="labkit-doctor-", dir=_build_folder()) as folder:
        result = Path(folder) / "doctor"
        done = _compile(source, "-o", str(result))
        if done.returncode != 0:
            why = (done.stderr.strip().splitlines() or ["no message"])[0]
            raise Missing(f"{_cc()} cannot compile a program: {why}", package("gcc", "libc6-dev"))
        yield result


def _build_folder() -> Path | None:
    try:
        build_folder().mkdir(exist_ok=True)
    except OSError:
        return None
    return build_folder() if os.access(build_folder(), os.W_OK) else None


def _cc() -> str:
    path = shutil.which("cc") or shutil.which("gcc")
    if path is None:
        raise Missing("no C compiler", package("gcc", "libc6-dev"))
    return path


def includes(header: str) -> bool:
    """Return True when the compiler finds a header."""
    return _compile(f"#include <{header}>\n", "-fsyntax-only").returncode == 0


def _compile(source: str, *options: str) -> subprocess.CompletedProcess[str]:
    return run([_cc(), "-x", "c", "-", *options], _TIMEOUT_S, text_in=source)


def _first_line(command: Sequence[str]) -> str:
    done = run(command, _TIMEOUT_S)
    done.check_returncode()
    return ((done.stdout or done.stderr).strip().splitlines() or [""])[0].strip()
