# SPDX-License-Identifier: Apache-2.0
"""Boot a kernel under emulation with virtme-ng, over this machine's file tree, and run one command in it as root."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from labkit.machine.folders import build_folder, repo_folder
from labkit.machine.kernels.emulated import Tick, ends_in_time, unwatched
from labkit.machine.kernels.fetch import Kernel
from labkit.machine.tools import missing_tools, search_path

__all__ = ["emptied", "run_in", "why_not"]

_TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "mkfs.ext4": "e2fsprogs",
    "udevadm": "udev",
    "depmod": "kmod",
    "vng": "virtme-ng (of the lab's .venv)",
}
_GUEST = Path(__file__).parent / "guest.sh"
_DATA_BYTES = 4 << 30  # sparse
_HIDDEN = ("/tmp", "/var/tmp", "/run")  # virtme-ng mounts a tmpfs on each

# Observed with QEMU 7.2: NumPy's sorting crashed on a CPU with AVX2, and not on one without these. Why is not known.
_CPU = "max,avx=off,avx2=off,f16c=off,fma=off"

# Timings mean nothing under emulation, so the guest may save on what real machines need.
# Without no_timer_check 5.10 panics on a very busy machine: "IO-APIC + timer doesn't work".
# Seen on 5.10: a CPU stayed forever where the kernel had just changed its own code. After two minutes it ends.
_KERNEL_ARGUMENTS = (
    *("mitigations=off", "no5lvl", "tsc=reliable", "clocksource=tsc", "no_timer_check"),
    *("watchdog_thresh=60", "softlockup_panic=1", "panic=-1"),
)


def why_not() -> str:
    """Return why this machine cannot boot other kernels, or an empty string."""
    if os.uname().machine != "x86_64":
        return f"other kernels are tried on x86_64 only, and this is {os.uname().machine}"
    if os.geteuid() != 0:
        return "not root, whose file tree the emulated machine gets"
    if any(repo_folder().is_relative_to(hidden) for hidden in _HIDDEN):
        return f"this tree lies in {repo_folder()}, and the emulated machine has other folders at {', '.join(_HIDDEN)}"
    return missing_tools(_TOOLS)


def run_in(
    kernel: Kernel,
    headers: Path,
    command: Sequence[str],
    *,
    timeout_s: float,
    out: Path | None = None,
    given: Mapping[str, str] | None = None,
    tick: Tick = unwatched,
) -> tuple[Path, bool]:
    """Run a command in the tree on another kernel; return the folder of what it wrote to /mnt, and whether it ended.

    Parameters
    ----------
    headers : an ext4 image of kernel headers, seen as /usr/src.
    timeout_s : after so long the machine is switched off; what was written remains.
    out : the folder that is the guest's /mnt, emptied first; build/kernels/SERIES if None.
    given : files that the guest finds in /mnt, by name.
    tick : see `labkit.machine.kernels.emulated`.
    """
    out = emptied(out or build_folder() / "kernels" / kernel.series, given)
    with tempfile.TemporaryDirectory(prefix="lab-kernel-", dir=out.parent) as scratch:
        disk = Path(scratch) / "data.img"
        with disk.open("wb") as file:
            file.truncate(_DATA_BYTES)
        subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", disk], check=True)
        ended = _boot(kernel, [disk, headers], out, command, Path(scratch), timeout_s, tick)
    return out, ended


def emptied(out: Path, given: Mapping[str, str] | None = None) -> Path:
    """Return a folder, emptied, with files put into it: name -> text."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name, text in (given or {}).items():
        (out / name).write_text(text, encoding="utf-8")
    return out


def _boot(
    kernel: Kernel, disks: Sequence[Path], out: Path, command: Sequence[str], home: Path, timeout_s: float, tick: Tick
) -> bool:
    tree = repo_folder()
    words = [str(Path(sys.prefix) / "bin/vng"), "--run", str(kernel.image), "--disable-kvm", "--force-9p"]
    words += ["--verbose"]  # boot.log: the kernel's own messages, its last words among them
    words += ["--cpus", "2", "--memory", "4G", "--user", "root", "--cwd", "/", f"--rwdir=/mnt={out}"]
    words += [f"--qemu-opts=-cpu {_CPU}"]
    for argument in _KERNEL_ARGUMENTS:
        words += ["--append", argument]
    share = "-fsdev local,id=lab,path=/,security_model=none,readonly=on,multidevs=remap"
    words += [f"--qemu-opts={share} -device virtio-9p-pci,fsdev=lab,mount_tag=lab"]
    for number, disk in enumerate(disks):
        drive = f"-drive if=none,id=lab{number},format=raw,file={disk}" + (",readonly=on" if number else "")
        words += [f"--qemu-opts={drive} -device virtio-blk-pci,drive=lab{number}"]
    # The kernel's command line, on which --exec travels, holds 2048 characters: too few for a list of tests.
    (out / "command").write_text(shlex.join(command) + "\n")
    guest = [_GUEST, tree, kernel.image.parent, "sh", "/mnt/command"]
    words += ["--exec", shlex.join(map(str, guest))]
    path = os.pathsep.join([str(Path(sys.prefix) / "bin"), search_path()])  # its own virtme-run comes first
    environment = {**os.environ, "PATH": path, "HOME": str(home)}  # vng keeps files of its own at home
    return ends_in_time(words, out / "boot.log", timeout_s, tick, folder=tree, environment=environment)
