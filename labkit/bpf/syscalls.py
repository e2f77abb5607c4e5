# SPDX-License-Identifier: Apache-2.0
"""The names of the system calls, by their numbers on this machine."""

from __future__ import annotations

import functools
import re
import subprocess

from labkit.errors import Missing

__all__ = ["COUNTERPART", "call_names"]

# system calls that x86-64 has and 64-bit ARM has not (include/uapi/asm-generic/unistd.h) -> those of every processor
# that do the same
COUNTERPART = {
    "access": "faccessat",
    "chmod": "fchmodat",
    "chown": "fchownat",
    "creat": "openat",
    "dup2": "dup3",
    "epoll_create": "epoll_create1",
    "epoll_wait": "epoll_pwait",
    "eventfd": "eventfd2",
    "fork": "clone",
    "futimesat": "utimensat",
    "getdents": "getdents64",
    "inotify_init": "inotify_init1",
    "lchown": "fchownat",
    "link": "linkat",
    "lstat": "newfstatat",
    "mkdir": "mkdirat",
    "mknod": "mknodat",
    "newlstat": "newfstatat",
    "newstat": "newfstatat",
    "open": "openat",
    "pause": "ppoll",
    "pipe": "pipe2",
    "poll": "ppoll",
    "readlink": "readlinkat",
    "rename": "renameat2",
    "rmdir": "unlinkat",
    "select": "pselect6",
    "signalfd": "signalfd4",
    "stat": "newfstatat",
    "symlink": "symlinkat",
    "unlink": "unlinkat",
    "utime": "utimensat",
    "utimes": "utimensat",
    "vfork": "clone",
}
_NO_CALLS = ("_syscalls", "_arch_specific_syscall")  # how many there are, and where a processor's own begin


@functools.cache
def call_names(bits: int = 64) -> dict[int, str]:
    """Return the name of each system call by its number on this machine, as the C compiler's headers have them.

    Parameters
    ----------
    bits : 32 for a 32-bit program, whose calls have other numbers; they are known on x86-64, elsewhere there are none.
    """
    header = "asm/unistd_32.h" if bits == 32 else "asm/unistd.h"
    command = ["gcc", "-E", "-dM", "-include", header, "-x", "c", "/dev/null"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        if bits == 32:
            return {}
        raise Missing(
            "The names of the system calls are not known here.", "sudo apt-get install gcc libc6-dev"
        ) from None
    defined: dict[str, str] = dict(re.findall(r"^#define __NR(\w+) (\w+)$", said, re.MULTILINE))
    # on 64-bit ARM some refer to another: __NR_fcntl is __NR3264_fcntl is 25
    numbers = {name: defined.get(number.removeprefix("__NR"), number) for name, number in defined.items()}
    calls = {name: n for name, n in numbers.items() if name.startswith("_") and name not in _NO_CALLS and n.isdigit()}
    return {int(n): name.removeprefix("_") for name, n in calls.items()}
