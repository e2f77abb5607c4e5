# SPDX-License-Identifier: Apache-2.0
"""Where notebooks are graded: a throw-away virtual machine, a container of namespaces, or this machine as it is.

A learner's Python is confined in any of them (see `box`). What remains is the learner's BPF C, which the verifier
accepts or refuses: a program that it accepts may still end processes or change their memory (bpf_send_signal,
bpf_probe_write_user). In a virtual machine that reaches nothing of this machine.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from labkit.classroom.bounded import run_bounded
from labkit.classroom.box import UNSHARE
from labkit.classroom.limits import most_s, read_slowness
from labkit.errors import Missing, check_choice
from labkit.machine.folders import build_folder, repo_folder

__all__ = ["BARE", "CONTAINER", "PLACES", "VM", "check_place", "run_in_place"]

VM, CONTAINER, BARE = PLACES = ("vm", "container", "this machine")

_START_S = 900  # until the place has measured itself: a boot under emulation, on a busy machine, takes minutes
_MORE_TIMES = 1.25  # of the limits inside: those end a notebook first, with its name
_SCRIPTS = Path(__file__).parent
_DATA_BYTES = 4 << 30  # sparse
_DROPPED = "-sys_module,-sys_rawio,-sys_boot,-sys_time,-mknod,-audit_control,-syslog"
_EMULATED = ("-cpu", "max,avx=off,avx2=off,f16c=off,fma=off")  # NumPy's sorting crashed under QEMU 7.2 with AVX2


def check_place(place: str, kernel: Path | None) -> None:
    """Return if notebooks can be graded in a place.

    Raises
    ------
    BadArgument : there is no such place.
    Missing : this machine lacks what it needs.
    """
    check_choice("place", place, PLACES)
    if os.geteuid() != 0:
        raise Missing("Grading needs root.", "sudo .venv/bin/labkit grade FOLDER")
    if place != VM:
        return
    tools = ("vng", f"qemu-system-{os.uname().machine.replace('arm64', 'aarch64')}", "mkfs.ext4", "busybox")
    absent = [tool for tool in tools if shutil.which(tool, path=_search_path()) is None]
    if absent:
        what = f"No virtual machine can be started: {', '.join(absent)} not installed."
        raise Missing(what, "scripts/setup.sh test installs them; or grade with --in-container")
    if kernel_image(kernel) is None:
        what = "No kernel image was found for the virtual machine."
        raise Missing(what, "name one with --kernel /boot/vmlinuz-VERSION; or grade with --in-container")


def _search_path() -> str:
    return os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def kernel_image(chosen: Path | None) -> Path | None:
    """Return the chosen image, or the running kernel's, or the newest in /boot; None where there is none."""
    if chosen is not None:
        return chosen if chosen.is_file() else None
    running = Path(f"/boot/vmlinuz-{os.uname().release}")
    images = sorted(Path("/boot").glob("vmlinuz-*"), key=lambda image: image.stat().st_mtime)
    return running if running.is_file() else images[-1] if images else None


def run_in_place(
    place: str, given: Path, out: Path, seconds: int, notebooks: int, *, kernel: Path | None = None
) -> str:
    """Grade the notebooks in the folder `given`, with their results in `out`; return why it ended early, or "".

    Parameters
    ----------
    seconds : for the learner's cells of each notebook, on a quiet machine.
    kernel : the image that the virtual machine boots.
    """
    build_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="grade-", dir=build_folder()) as made:
        scratch = Path(made)
        work = [str(given), str(out), str(seconds)]
        python = [sys.executable, "-m", "labkit.classroom.worker"]
        if place == VM:
            words = _vm(scratch, given, out, seconds, kernel)
        elif place == CONTAINER:
            guest = ["sh", str(_SCRIPTS / "container.sh"), str(repo_folder()), str(given), str(out), str(scratch)]
            caps = ["setpriv", f"--bounding-set={_DROPPED}"]
            words = [*UNSHARE, *guest, *caps, *python, *work]
        else:
            words = [*python, *work]
        words = ["setpriv", "--pdeathsig", "KILL", *words]
        return _run(words, scratch, out, lambda slow: _MORE_TIMES * notebooks * most_s(seconds, slow))


def _run(words: list[str], scratch: Path, out: Path, allowed_s: Callable[[float], float]) -> str:
    """Run a place to its end; `allowed_s` says how long it may take after its start, of the slowness that it tells."""
    told: list[float] = []

    def limit_s() -> float:
        if not told and (slow := read_slowness(out)) is not None:  # a stranger's code runs later, and changes nothing
            told.append(slow)
        return _START_S + (allowed_s(told[0]) if told else 0)

    environment = {**os.environ, "PATH": _search_path(), "HOME": str(scratch), "PYTHONPATH": str(repo_folder())}
    if "LABKIT_CACHE" not in environment:
        environment["LABKIT_CACHE"] = str(Path.home() / ".cache/labkit")
    log = scratch / "log"
    with log.open("wb") as output:
        status = run_bounded(
            words, limit_s, folder=scratch, environment=environment, stdout=output, stderr=subprocess.STDOUT
        )
    if status is None:
        return f"it was ended after {limit_s():.0f} s" if told else f"it did not start within {_START_S} s"
    if status == 0:
        return ""
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    return f"it ended with {status}: {' '.join(last)[:200]}"


def _vm(scratch: Path, given: Path, out: Path, seconds: int, kernel: Path | None) -> list[str]:
    """Return the command that boots a machine over this one's tree, read-only, without network; `out` is shared."""
    disk = scratch / "data.img"
    with disk.open("wb") as file:
        file.truncate(_DATA_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", disk], check=True, env={**os.environ, "PATH": f"{os.defpath}:/sbin"})
    shared = scratch / "shared"
    shared.mkdir()
    shutil.copytree(given, shared / "given")
    image = kernel_image(kernel)
    is_quick = os.environ.get("LABKIT_QUICK", "0")
    guest = ["sh", _SCRIPTS / "guest.sh", repo_folder(), sys.prefix, seconds, is_quick]
    words = ["vng", "--run", str(image), "--force-9p", "--cpus", "2", "--memory", "4G", "--user", "root"]
    words += ["--cwd", "/", f"--rwdir=/mnt={out}", f"--rodir=/media={shared / 'given'}"]
    if not _has_kvm():
        words += ["--disable-kvm", f"--qemu-opts={shlex.join(_EMULATED)}"]
        for argument in ("mitigations=off", "no5lvl", "tsc=reliable", "clocksource=tsc"):
            words += ["--append", argument]
    share = "-fsdev local,id=lab,path=/,security_model=none,readonly=on,multidevs=remap"
    words += [f"--qemu-opts={share} -device virtio-9p-pci,fsdev=lab,mount_tag=lab"]
    words += [f"--qemu-opts=-drive if=none,id=lab0,format=raw,file={disk} -device virtio-blk-pci,drive=lab0"]
    return [*words, "--exec", shlex.join(map(str, guest))]


def _has_kvm() -> bool:
    """Return whether to use KVM; LABKIT_KVM=0 says no, for machines whose /dev/kvm boots no stock kernel."""
    return os.environ.get("LABKIT_KVM", "1") != "0" and os.access("/dev/kvm", os.R_OK | os.W_OK)
