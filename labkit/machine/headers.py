# SPDX-License-Identifier: Apache-2.0
"""Kernel headers for BCC, whatever kernel is running.

BCC compiles its C against kernel headers and gives up without them. Three sources are tried, best first:

1. `exact`: the headers of the running kernel, in `/lib/modules/$(uname -r)/{build,source}` or in `/usr/src`;
2. `kheaders`: the archive that a kernel with CONFIG_IKHEADERS carries in itself, `/sys/kernel/kheaders.tar.xz`;
3. `fallback`: the newest header package in `/usr/src`. Programs that touch only what the kernel promises to keep
   (UAPI structs, tracepoint formats, sockops and sk_msg contexts) compile against any recent one. Kernel-internal
   structs may differ from the running kernel's: `labkit.bpf.structures` takes those from the kernel's BTF.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labkit.errors import Missing
from labkit.machine import proc
from labkit.machine.folders import cache_folder, made_once
from labkit.machine.header_trial import why_not

__all__ = ["CHOICE", "Headers", "kernel_headers", "lacks"]

CHOICE = "BCC_KERNEL_SOURCE"  # where BCC looks for a tree first; set by the reader, or else by the lab

# The kernel's own name of an architecture's folder, and Debian's name of its packages.
_ARCH_FOLDER = {"x86_64": "x86", "aarch64": "arm64", "ppc64le": "powerpc", "s390x": "s390", "riscv64": "riscv"}
_DEBIAN_ARCH = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64el"}


@dataclass(frozen=True)
class Headers:
    """The headers that BCC compiles against."""

    kind: str  # "exact", "kheaders" or "fallback"
    path: Path  # the top of the tree
    release: str  # of which kernel they are
    passed_over: str = ""  # better ones, and clang's error about them

    @property
    def exact(self) -> bool:
        """True when kernel-internal structs are those of the running kernel."""
        return self.kind != "fallback"

    @property
    def environment(self) -> dict[str, str]:
        """What BCC must find in its environment; nothing for a tree that it finds by itself."""
        return {} if self.path.name == "build" else {CHOICE: str(self.path)}

    def __str__(self) -> str:
        return f"{self.kind} headers of {self.release} in {self.path}"


def kernel_headers(
    *, root: Path = Path("/"), release: str = "", works: Callable[[Headers], str] | None = None
) -> Headers:
    """Find headers for BCC, making a merged tree in the cache folder if need be.

    Headers that this BCC cannot compile, such as those of a newer kernel, are passed over if there are others.

    Parameters
    ----------
    root : where `/lib`, `/usr` and `/sys` are looked for.
    release : the kernel to serve, as `uname -r` says it; the running one if empty.
    works : returns clang's error about headers, or nothing; None compiles a small program, in this machine's own root.

    Raises
    ------
    Missing : there are none; the fix names the package.
    """
    release = release or os.uname().release
    passed = ""
    first: Headers | None = None
    for found in _found(root, release):
        first = first or found
        why = (works or _trial)(found) if works or root == Path("/") else ""
        if not why:
            return replace(found, passed_over=passed)
        passed = passed or f"those of {found.release} in {found.path} do not compile with this BCC: {why}"
    return first or _give_up(root)


def _found(root: Path, release: str) -> Iterator[Headers]:
    """Yield the headers that are there, the best first."""
    yield from filter(None, (_exact(root, release), _kheaders(root, release)))
    yield from _packaged(root, release)


def _trial(found: Headers) -> str:
    return why_not(found.path, found.environment, CHOICE, cache_folder() / "headers")


def lacks(tree: Path) -> str:
    """Return the first file that BCC needs and a tree has not, or an empty string."""
    needed = ("include/linux/kconfig.h", "include/generated/autoconf.h")
    return next((name for name in needed if not (tree / name).is_file()), "")


def _exact(root: Path, release: str) -> Headers | None:
    modules = root / "lib/modules" / release
    build, source = modules / "build", modules / "source"
    # Links may dangle: a container often has the host's /lib/modules but not its /usr/src.
    has_source = any((folder / "include/linux/kconfig.h").is_file() for folder in (build, source))
    if has_source and (build / "include/generated/autoconf.h").is_file():
        return Headers("exact", build, release)
    return None


def _kheaders(root: Path, release: str) -> Headers | None:
    archive = root / "sys/kernel/kheaders.tar.xz"
    # As a module (CONFIG_IKHEADERS=m) the archive shows only while it is loaded.
    borrowed = not archive.exists() and root == Path("/") and _run("modprobe", "--quiet", "kheaders")
    try:
        if not archive.is_file():
            return None

        def unpack(folder: Path) -> None:
            with tarfile.open(archive, "r:xz") as tar:
                tar.extractall(folder)  # the running kernel itself wrote this archive

        # Two builds of one release differ in `uname -v`.
        return Headers("kheaders", _cached("kheaders", [release, os.uname().version], unpack), release)
    except (tarfile.TarError, EOFError):  # cut short, or a Python built without lzma
        return None
    finally:
        if borrowed:
            _run("modprobe", "--quiet", "--remove", "kheaders")


def _packaged(root: Path, release: str) -> Iterator[Headers]:
    arch = _ARCH_FOLDER.get(os.uname().machine, os.uname().machine)
    needed = ("include/generated/autoconf.h", f"arch/{arch}/include/generated")
    found = [
        folder
        for folder in (root / "usr/src").glob("linux-headers-*")
        if all((folder / name).exists() for name in needed)
    ]
    found.sort(key=lambda folder: (_release_of(folder) == release, _version(folder.name)), reverse=True)
    for folder in found:
        tree = _whole(root, folder)
        if tree is not None:
            of = _release_of(folder)
            yield Headers("exact" if of == release else "fallback", tree, of)


def _whole(root: Path, folder: Path) -> Path | None:
    """Return one tree with all of a package's headers, or None if a part is not installed.

    Ubuntu links what its flavours share into each flavour's own tree. Debian keeps it in `linux-headers-*-common` and
    names that folder in the flavour's Makefile; BCC_KERNEL_SOURCE takes one tree, so the two are merged with links.
    """
    if (folder / "include/linux/kconfig.h").is_file():
        return folder
    makefile = folder / "Makefile"
    named = re.search(r"^include\s+(\S+)/Makefile", makefile.read_text(), re.MULTILINE) if makefile.is_file() else None
    shared = root / named[1].lstrip("/") if named else folder
    if not (shared / "include/linux/kconfig.h").is_file():
        return None
    # An upgrade or a reinstallation gives these files a new ctime, whatever their mtime.
    marks = [folder / "include/generated/autoconf.h", shared / "include/linux/kconfig.h"]
    key = [f"{mark.resolve()} {mark.stat().st_ctime_ns}" for mark in marks]
    return _cached(folder.name, key, lambda merged: _merge([folder.resolve(), shared.resolve()], merged))


def _merge(sources: Sequence[Path], into: Path) -> None:
    """Fill `into` with links to the sources' entries, the first source winning; folders in several are merged."""
    into.mkdir(exist_ok=True)
    names = {entry.name for source in sources for entry in source.iterdir()}
    for name in names:
        holders = [source / name for source in sources if (source / name).exists()]
        folders = [holder for holder in holders if holder.is_dir()]
        if len(folders) > 1 and len({folder.resolve() for folder in folders}) > 1:
            _merge(folders, into / name)
        elif holders:
            (into / name).symlink_to(holders[0])


def _cached(name: str, key: Sequence[str], make: Callable[[Path], None]) -> Path:
    """Return the cache's folder for `key`, made by `make` if it is not there."""
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:12]
    return made_once(cache_folder() / "headers" / f"{name}-{digest}", make)


def _release_of(folder: Path) -> str:
    """Return the kernel release that a header tree says it is of."""
    named = re.search(r'UTS_RELEASE "([^"]+)"', proc.text_or_empty(folder / "include/generated/utsrelease.h"))
    return named[1] if named else folder.name.removeprefix("linux-headers-")


def _version(name: str) -> list[int]:
    """Return the numbers in a package's name, so that 6.12 sorts above 6.2."""
    return [int(number) for number in re.findall(r"\d+", name.split("deb")[0])]


def _run(*command: str) -> bool:
    """Run a command that may be absent or fail; return whether it succeeded."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _give_up(root: Path) -> Headers:
    ubuntu = "ID=ubuntu" in proc.text_or_empty(root / "etc/os-release").splitlines()
    machine = os.uname().machine
    package = "linux-headers-generic" if ubuntu else f"linux-headers-{_DEBIAN_ARCH.get(machine, machine)}"
    raise Missing(
        "No kernel headers were found, and BCC cannot compile without any.",
        f"sudo apt-get install {package}",
        "Looked for: /lib/modules/$(uname -r)/build, /sys/kernel/kheaders.tar.xz, /usr/src/linux-headers-*.",
    )
