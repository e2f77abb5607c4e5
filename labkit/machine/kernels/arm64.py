# SPDX-License-Identifier: Apache-2.0
"""An arm64 Debian as files, made from packages, and booted by QEMU: `make test-kernels ARCH=arm64`.

Nothing of it is run while it is made, so no foreign binaries need to be registered with this machine's kernel: packages
are unpacked, not configured. What their scripts would do for the lab is done here (`_finish`). The system is kept in
the cache folder under a hash of all that it is made from; the lab's tree goes onto a second disk, anew for each boot.
"""

from __future__ import annotations

import hashlib
import inspect
import lzma
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from labkit.machine.folders import build_folder, cache_folder, repo_folder
from labkit.machine.kernels.boot import emptied
from labkit.machine.kernels.emulated import Tick, ends_in_time, unwatched
from labkit.machine.kernels.fetch import Apt, cached, run
from labkit.machine.tools import missing_tools

__all__ = ["ARM64", "found_arm64", "run_in_arm64", "why_not_arm64"]

ARM64 = {"arm64": "linux-image-arm64", "arm64-16k": "linux-image-arm64-16k"}  # column of the table -> kernel package
_SUITE, _PYTHON = "trixie", "3.13"
_TOOLS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-aarch64-static": "qemu-user-static",
    "mkfs.ext4": "e2fsprogs",
    "depmod": "kmod",
    "busybox": "busybox-static",
}
_NOT_THERE = ("chromium", "qemu-system-x86")
_MODULES = ("crc32c_generic", "crc32c_cryptoapi", "virtio_blk", "crc16", "mbcache", "jbd2", "ext4")
_INIT = Path(__file__).parent / "arm64-init"
_PLATFORMS = [f"manylinux_2_{minor}_aarch64" for minor in (41, 39, 34, 31, 28, 26, 24, 17)] + ["manylinux2014_aarch64"]
# With KASLR this kernel isolates page tables, and each entry to it empties the emulator's TLB: 330 s for what takes 35.
_KERNEL_ARGUMENTS = "console=ttyAMA0 rw mitigations=off nokaslr kpti=off panic=-1 loglevel=4"
_START = """#!/bin/sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sysfs /sys; $b mount -t devtmpfs dev /dev
while read m; do $b insmod /m/$m; done < /order
while [ ! -e /dev/vda ]; do $b sleep 1; done
$b mount -t ext4 /dev/vda /new && $b mount --move /dev /new/dev && $b umount /proc /sys
exec $b switch_root /new /lab-init
"""


def why_not_arm64() -> str:
    """Return why this machine cannot boot an arm64 one, or an empty string."""
    return missing_tools(_TOOLS)


def run_in_arm64(
    series: str,
    command: str,
    *,
    timeout_s: float,
    made: tuple[Path, Path] | None = None,
    out: Path | None = None,
    given: Mapping[str, str] | None = None,
    tick: Tick = unwatched,
) -> tuple[Path, bool]:
    """Run a line of shell in the tree on an arm64 machine.

    Parameters
    ----------
    series : a key of ARM64.
    timeout_s : after so long the machine is switched off; what was written remains.
    made : folders of the system and of the kernel, as `found_arm64` has them; made from packages if None.
    out, given, tick : as of `labkit.machine.kernels.boot.run_in`.

    Returns
    -------
    the folder of what it wrote to /mnt, and whether it ended by itself.
    """
    system, kernel = made or (_system(), _kernel(series))
    out = emptied(out or build_folder() / "kernels" / series, {**(given or {}), "command": f"{command}\n"})
    with tempfile.TemporaryDirectory(prefix="lab-kernel-", dir=out.parent) as scratch:
        disk, tree = Path(scratch) / "disk.img", Path(scratch) / "tree.img"
        run("cp", "--sparse=always", "--reflink=auto", str(system / "disk.img"), str(disk))
        _tree_onto(tree, kernel, Path(scratch))
        return out, _boot(kernel, [disk, tree], out, timeout_s, tick)


def found_arm64(series: str) -> tuple[Path, Path] | None:
    """Return the newest system and kernel that the cache folder has, of whatever recipe; None if one is missing."""
    kernels = cache_folder() / "kernels"
    systems = [disk.parent for disk in kernels.glob("arm64-system-*/disk.img")]
    images = [image.parent for image in kernels.glob(f"{series}-kernel-*/vmlinuz")]
    if not systems or not images:
        return None
    system, kernel = (max(found, key=lambda folder: folder.stat().st_mtime) for found in (systems, images))
    return system, kernel


def _boot(kernel: Path, disks: Sequence[Path], out: Path, timeout_s: float, tick: Tick) -> bool:
    words = ["qemu-system-aarch64", "-M", "virt,gic-version=3", "-cpu", "neoverse-n1", "-smp", "2", "-m", "4G"]
    words += ["-accel", "tcg,thread=multi,tb-size=1024", "-nographic", "-no-reboot", "-nic", "none"]
    words += ["-kernel", str(kernel / "vmlinuz"), "-initrd", str(kernel / "initrd.img"), "-append", _KERNEL_ARGUMENTS]
    for number, disk in enumerate(disks):
        words += ["-drive", f"if=none,id=d{number},file={disk},format=raw,cache=unsafe"]
        words += ["-device", f"virtio-blk-pci,drive=d{number}"]
    words += ["-fsdev", f"local,id=f0,path={out},security_model=none"]
    words += ["-device", "virtio-9p-pci,fsdev=f0,mount_tag=share"]
    return ends_in_time(words, out / "boot.log", timeout_s, tick)


def _tree_onto(disk: Path, kernel: Path, scratch: Path) -> None:
    """Put the files of this tree, as they are now, onto an ext4 disk, and the kernel's modules next to them."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=repo_folder()).splitlines()
    for name in listed:
        if (repo_folder() / name).exists():
            (scratch / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repo_folder() / name, scratch / "tree" / name, follow_symlinks=False)
    shutil.copytree(kernel / "kernel", scratch / "tree/build/kernel", symlinks=True)
    run("mkfs.ext4", "-q", "-F", "-d", f"{scratch}/tree", str(disk), "6G")


# -- the system ----------------------------------------------------------------------------------


def _packages() -> list[str]:
    sections = {"run", "run/debian", "test", "test/debian"}
    words = [line.split() for line in (repo_folder() / "packages.txt").read_text().splitlines() if line.strip()]
    named = [word[1].replace("@ARCH@", "arm64") for word in words if word[0] in sections]
    return ["?essential", "?priority(required)", *(name for name in named if name not in _NOT_THERE)]


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _system() -> Path:
    """Return the folder of disk.img, under a hash of all that it is made from."""
    made_by = [inspect.getsource(step) for step in (_make_system, _install_wheels, _finish, _compile_python)]
    lock = (repo_folder() / "requirements-test.lock").read_text()
    return cached(f"arm64-system-{_hash(lock, _INIT.read_text(), *_packages(), *made_by)}", _make_system)


def _make_system(folder: Path) -> None:
    root = folder / "root"
    apt = Apt(folder / "apt", _SUITE, "arm64")
    apt.download_with_all_they_need(_packages())
    debs = sorted(apt.packages(), key=lambda deb: not deb.name.startswith("base-files_"))
    root.mkdir()
    run("dpkg-deb", "--extract", str(debs[0]), str(root))  # /bin and /lib are links to /usr: the first of all
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda deb: run("dpkg-deb", "--extract", str(deb), str(root)), debs[1:]))
    _install_wheels(folder, root)
    _finish(root)
    shutil.rmtree(folder / "apt")
    run("mkfs.ext4", "-q", "-F", "-d", str(root), str(folder / "disk.img"), "8G")
    shutil.rmtree(root)


def _install_wheels(folder: Path, root: Path) -> None:
    """Put what the lock file names into /venv, as wheels for this architecture with the lock's hashes."""
    venv, wheels = root / "venv", folder / "wheels"
    packages = venv / f"lib/python{_PYTHON}/site-packages"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    choice = ["--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", _PYTHON]
    for abi in (f"cp{_PYTHON.replace('.', '')}", "abi3", "none"):
        choice += ["--abi", abi]
    for platform in _PLATFORMS:
        choice += ["--platform", platform]
    lock = repo_folder() / "requirements-test.lock"
    run(*pip, "download", "--require-hashes", "-r", str(lock), *choice, "-d", str(wheels))
    found = [str(wheel) for wheel in wheels.iterdir()]
    run(*pip, "install", "--target", str(packages), "--no-index", "--no-compile", *choice, *found)
    shutil.rmtree(wheels)
    (venv / "bin").mkdir(parents=True, exist_ok=True)
    for script in (packages / "bin").iterdir():
        lines = script.read_bytes().split(b"\n", 1)
        if lines[0].startswith(b"#!") and b"python" in lines[0]:
            script.write_bytes(b"#!/venv/bin/python3\n" + lines[1])
        shutil.copy2(script, venv / "bin" / script.name)
    if (packages / "share").is_dir():
        shutil.copytree(packages / "share", venv / "share", symlinks=True)
    (venv / "bin/python3").symlink_to("/usr/bin/python3")
    (venv / "bin/python").symlink_to("python3")
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = true\n")
    (packages / "lab.pth").write_text("/lab\n")
    (venv / "bin/labkit").write_text("#!/venv/bin/python3\nimport sys\nfrom labkit.cli import main\nsys.exit(main())\n")
    for script in (venv / "bin").iterdir():
        if not script.is_symlink():
            script.chmod(0o755)


def _finish(root: Path) -> None:
    """Do what the packages' own scripts would have done, as far as the lab needs it."""
    shutil.copy2(root / "usr/share/base-passwd/passwd.master", root / "etc/passwd")
    shutil.copy2(root / "usr/share/base-passwd/group.master", root / "etc/group")
    (root / "etc/hostname").write_text("labarm\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost labarm\n")
    for name, target in (("awk", "mawk"), ("cc", "gcc"), ("c++", "g++"), ("redis-server", "redis-check-rdb")):
        if not (root / "usr/bin" / name).is_symlink():
            (root / "usr/bin" / name).symlink_to(target)
    for name in ("lab", "mnt", "proc", "sys", "dev", "run", "tmp", "root", "usr/src"):
        (root / name).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy2(_INIT, root / "lab-init")
    (root / "lab-init").chmod(0o755)
    _compile_python(root)


def _compile_python(root: Path) -> None:
    """Make byte code, which does not depend on the architecture: the first import in the machine would take minutes."""
    words = ["qemu-aarch64-static", "-L", str(root), str(root / f"usr/bin/python{_PYTHON}"), "-m", "compileall"]
    words += ["-q", "-s", str(root), "-p", "/", "-x", "/tests?/|lib2to3"]
    places = [root / f"venv/lib/python{_PYTHON}/site-packages", root / "usr/lib/python3/dist-packages"]
    places.append(root / f"usr/lib/python{_PYTHON}")
    environment = {"PYTHONHOME": str(root / "usr"), "PATH": "/usr/bin:/bin"}
    subprocess.run([*words, *map(str, places)], env=environment, capture_output=True, check=False)


# -- its kernel ----------------------------------------------------------------------------------


def _kernel(series: str) -> Path:
    """Return the folder of a kernel: vmlinuz; initrd.img, which finds the disk; kernel/modules and kernel/boot."""
    name = f"{series}-kernel-{_hash(inspect.getsource(_make_kernel), _START, *_MODULES)}"
    return cached(name, lambda folder: _make_kernel(folder, ARM64[series]))


def _make_kernel(folder: Path, package: str) -> None:
    apt = Apt(folder / "apt", _SUITE, "arm64")
    image = apt.depends(package, r"linux-image-\S+")
    apt.download([image, *apt.parts(image), "busybox-static"])
    for deb in apt.packages():
        run("dpkg-deb", "--extract", str(deb), str(folder / "made"))
    release, made = image.removeprefix("linux-image-"), folder / "made"
    modules = made / "usr/lib/modules" / release
    start = folder / "initrd"
    for name in ("bin", "dev", "proc", "sys", "new", "m"):
        (start / name).mkdir(parents=True)
    shutil.copy2(next(made.rglob("bin/busybox")), start / "bin/busybox")
    (start / "bin/sh").symlink_to("busybox")
    order = []
    for module in _MODULES:
        for packed in modules.rglob(f"{module}.ko*"):
            content = packed.read_bytes()
            is_packed = packed.suffix == ".xz"
            (start / "m" / f"{module}.ko").write_bytes(lzma.decompress(content) if is_packed else content)
            order.append(f"{module}.ko\n")
    (start / "order").write_text("".join(order))
    (start / "init").write_text(_START)
    (start / "init").chmod(0o755)
    packed_up = f"cd {start} && find . | busybox cpio -o -H newc | gzip -1 > {folder}/initrd.img"
    run("sh", "-c", packed_up)
    shutil.copy2(next(iter(made.rglob("vmlinuz*"))), folder / "vmlinuz")
    if not (made / "lib").exists():
        (made / "lib").symlink_to("usr/lib")
    run("depmod", "-b", str(made), release)
    shutil.copytree(made / "usr/lib/modules", folder / "kernel/modules", symlinks=True)
    shutil.copytree(made / "boot", folder / "kernel/boot", ignore=shutil.ignore_patterns("vmlinuz*", "System.map*"))
    for place in ("apt", "initrd", "made"):
        shutil.rmtree(folder / place)
