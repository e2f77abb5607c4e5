# SPDX-License-Identifier: Apache-2.0
"""Run Python code on a machine on which something is broken: python broken.py FAULT... -- CODE

Faults: `refuse:CALL:ERRNO` (a seccomp filter answers a system call), `limit:NAME:NUMBER` (setrlimit(2)),
`drop:CAPABILITY`, `unmount:FOLDER`, `set:VARIABLE=VALUE`, `cpus:NUMBER` (sched_setaffinity(2)), `disk:KIND:MIB:OPTIONS`
(the data folder is on a file system of its own: tmpfs, overlay, or ext4, xfs, btrfs in a file), `fill:LEAVE_KIB` (that
file system is filled up), `says:FILE=TEXT` (a file of the kernel's says something else), `userns` (root in a user
namespace), `meanwhile:truncate`, `meanwhile:delete`, `meanwhile:cpu` (while it measures, a data file is cut short or
removed, or all but one CPU are taken away). The process is in a mount namespace of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000  # SCMP_ACT_ALLOW, SCMP_ACT_ERRNO


def refuse(calls: dict[str, int]) -> None:
    """Have the kernel answer system calls with an error number (seccomp(2), through libseccomp)."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    filter_ = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    for name, number in calls.items():
        call = library.seccomp_syscall_resolve_name(name.encode())
        failed = library.seccomp_rule_add(filter_, ctypes.c_uint32(_ERRNO | number), ctypes.c_int(call), 0)
        assert not failed, f"seccomp_rule_add({name}): {failed}"
    assert library.seccomp_load(filter_) == 0


def drop(capabilities: list[str]) -> None:
    """Give up capabilities forever, by running again under setpriv(1)."""
    names = ",".join(f"-{name}" for name in capabilities)
    os.environ["LABKIT_DROPPED"] = "1"
    how = [f"--bounding-set={names}", f"--inh-caps={names}"]
    os.execvp("setpriv", ["setpriv", *how, sys.executable, *sys.argv])


def mount(kind: str, mib: str, options: str = "") -> None:
    """Put the data folder on a file system of its own, which goes with the mount namespace."""
    folder = os.environ["LABKIT_DATA"]
    more = ["-o", options] if options else []
    if kind == "tmpfs":
        how = ["-t", "tmpfs", "-o", ",".join(filter(None, [f"size={mib}m", options])), "tmpfs"]
    elif kind == "overlay":
        for name in ("lower", "upper", "work"):
            os.makedirs(f"{folder}.{name}")
        layers = f"lowerdir={folder}.lower,upperdir={folder}.upper,workdir={folder}.work"
        how = ["-t", "overlay", "-o", layers, "overlay"]
    else:
        image = f"{folder}.image"
        subprocess.run(["truncate", "-s", f"{mib}M", image], check=True)
        subprocess.run([f"mkfs.{kind}", "-q", image], check=True, stdout=subprocess.DEVNULL)
        how = ["-o", ",".join(["loop", *more[1:]]), image]
    subprocess.run(["mount", *how, folder], check=True)


def say(path: str, text: str) -> None:
    """Let a file say something else in this mount namespace."""
    aside = f"{os.environ['LABKIT_DATA']}.says-{path.replace('/', '-')}"
    with open(aside, "w") as file:
        file.write(f"{text}\n")
    subprocess.run(["mount", "--bind", aside, path], check=True)


def meanwhile(what: str) -> None:
    """Do something to the machine as soon as a data file has been written and a workload runs."""
    pid = os.getpid()

    def watch() -> None:
        while True:
            files = [path for path in Path(os.environ["LABKIT_DATA"]).glob("labkit-*/*") if path.is_file()]
            runs = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            if runs and (what == "cpu" or any(path.stat().st_size for path in files)):
                break
            time.sleep(0.002)
        time.sleep(0.05)
        for path in files:
            with contextlib.suppress(OSError):
                if what == "truncate":
                    os.truncate(path, 0)
                elif what == "delete":
                    path.unlink()
        for each in (pid, *runs) if what == "cpu" else ():
            for thread in Path(f"/proc/{each}/task").iterdir():
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(int(thread.name), {min(os.sched_getaffinity(int(thread.name)))})

    threading.Thread(target=watch, daemon=True).start()


def fill(kib: int) -> None:
    """Fill up the file system of the data folder, so that some KiB are left."""
    path = f"{os.environ['LABKIT_DATA']}/full"
    free = os.statvfs(os.environ["LABKIT_DATA"])
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - kib * 1024)


def main() -> None:
    here = sys.argv.index("--")
    faults, code = sys.argv[1:here], sys.argv[here + 1]
    if "LABKIT_APART" not in os.environ:
        os.environ["LABKIT_APART"] = "1"
        how = ["-m", "-U", "-r"] if "userns" in faults else ["-m"]
        os.execvp("unshare", ["unshare", *how, sys.executable, *sys.argv])
    dropped = [fault[5:] for fault in faults if fault.startswith("drop:")]
    calls = {}
    if "LABKIT_DROPPED" not in os.environ:
        for fault in faults:
            if fault.startswith("unmount:"):
                subprocess.run(["umount", "-l", fault[8:]], check=True)
        if dropped:
            drop(dropped)
    for fault in faults:
        kind, _, rest = fault.partition(":")
        if kind == "limit":
            name, number = rest.split(":")
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (int(number), int(number)))
        elif kind == "cpus":
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(rest)])
        elif kind == "disk":
            mount(*rest.split(":"))
        elif kind == "fill":
            fill(int(rest))
        elif kind == "set":
            name, _, value = rest.partition("=")
            os.environ[name] = value
        elif kind == "says":
            say(*rest.split("="))
        elif kind == "meanwhile":
            meanwhile(rest)
        elif kind == "refuse":
            name, error = rest.split(":")
            calls[name] = getattr(errno, error)
    if calls:
        refuse(calls)
    exec(compile(code, "<measurement>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main()
