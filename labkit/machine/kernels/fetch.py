# SPDX-License-Identifier: Apache-2.0
"""Debian's stock kernels, and what arm64 compilers need, as packages: fetched once, unpacked into the lab's cache
folder, never installed.

apt-get does the work with lists and folders of its own, so the machine's own are not touched. Where from is asked of
the machine's apt: its Debian mirror serves the other suites too.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import Missing
from labkit.machine.folders import cache_folder, made_once

__all__ = ["ARM64_LIBRARIES", "HEADERS_OF", "SUITES", "Apt", "Kernel", "cached", "fetch", "fetch_arm64", "find", "run"]

# by what stays true: the names of the last two move on to newer kernels
SUITES = {
    "5.10": "bullseye",
    "6.1": "bookworm",
    "6.12": "trixie",
    "backports": "trixie-backports",
    "sid": "sid",
}
HEADERS_OF = "6.1"  # BCC gets these on every kernel: exact on this one, a fallback on the others

ARM64_LIBRARIES = ("liburing-dev", "liburing2", "libaio-dev", "libaio1", "systemtap-sdt-dev")

_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_MIRROR = "LABKIT_DEBIAN_MIRROR"


@dataclass(frozen=True)
class Kernel:
    """A kernel that is not installed."""

    series: str  # "6.1", a key of SUITES
    release: str  # what `uname -r` will say
    folder: Path  # holds boot/ and lib/modules/; of HEADERS_OF also headers.img, an ext4 of what is /usr/src

    @property
    def image(self) -> Path:
        return self.folder / "boot" / f"vmlinuz-{self.release}"

    @property
    def headers(self) -> Path:
        return self.folder / "headers.img"


def fetch(series: str) -> Kernel:
    """Return Debian's newest kernel of a series, from the cache folder or else from Debian's mirror.

    Raises
    ------
    Missing : this machine's apt knows no Debian mirror, or the mirror does not serve the suite.
    """
    cached(series, lambda aside: _fetch_into(aside, series))
    found = find(series)
    if found is None:
        raise Missing(
            f"The cache folder holds no whole kernel {series}.", f"rm -r {cache_folder() / 'kernels' / series}"
        )
    return found


def find(series: str) -> Kernel | None:
    """Return the kernel of a series that the cache folder has; None if it has none."""
    folder = cache_folder() / "kernels" / series
    images = sorted((folder / "boot").glob("vmlinuz-*"))
    return Kernel(series, images[-1].name.removeprefix("vmlinuz-"), folder) if images else None


def fetch_arm64() -> Path:
    """Return a folder with kernel headers and the workloads' libraries for arm64: usr/src, usr/include, usr/lib.

    Raises
    ------
    Missing : as `fetch`.
    """
    return cached("arm64", _fetch_arm64_into)


def cached(name: str, fetch_into: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, filled once by a function; what fails half-way leaves nothing."""
    return made_once(cache_folder() / "kernels" / name, fetch_into)


def _fetch_arm64_into(folder: Path) -> None:
    apt = Apt(folder / "apt", SUITES[HEADERS_OF], "arm64")
    headers = apt.depends("linux-headers-arm64", r"linux-headers-\S+")
    apt.download([headers, apt.depends(headers, r"linux-headers-\S+-common"), *ARM64_LIBRARIES])
    for package in apt.packages():
        run("dpkg-deb", "--extract", str(package), str(folder))
    shutil.rmtree(folder / "apt")


def _fetch_into(folder: Path, series: str) -> None:
    apt = Apt(folder / "apt", SUITES[series])
    image = apt.depends("linux-image-amd64", r"linux-image-\S+")
    packages = [image, *apt.parts(image)]
    if series == HEADERS_OF:
        headers = apt.depends("linux-headers-amd64", r"linux-headers-\S+")
        packages += [headers, apt.depends(headers, r"linux-headers-\S+-common")]
    apt.download(packages)
    for package in apt.packages():
        run("dpkg-deb", "--extract", str(package), str(folder))
    shutil.rmtree(folder / "apt")
    shutil.rmtree(folder / "usr/share", ignore_errors=True)
    if series == HEADERS_OF:
        run("mkfs.ext4", "-q", "-d", str(folder / "usr/src"), str(folder / "headers.img"), "160M")
    if not (folder / "lib/modules").is_dir():  # since Debian 13 the packages name /usr/lib
        (folder / "lib").symlink_to("usr/lib")
    release = image.removeprefix("linux-image-")
    (folder / "boot").mkdir(exist_ok=True)
    for name in ("vmlinuz", "config"):  # since Linux 7.0 they lie with the modules
        with contextlib.suppress(FileNotFoundError):
            shutil.move(folder / f"lib/modules/{release}/{name}", folder / f"boot/{name}-{release}")
    run("depmod", "-b", str(folder), release)


class Apt:
    """apt-get with one suite, in a folder."""

    def __init__(self, folder: Path, suite: str, architecture: str = "amd64") -> None:
        self.folder = folder
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        sources = folder / "sources.list"
        main, security = _mirrors()
        signed = f"[signed-by={_KEYS}]" if _KEYS.exists() else ""
        lines = [f"deb {signed} {main} {suite} main"]
        if security and "-" not in suite and suite != "sid":
            lines.append(f"deb {signed} {security} {suite}-security main")
        sources.write_text("\n".join(lines) + "\n")
        settings = {
            "Dir::Etc::SourceList": sources,
            "Dir::Etc::SourceParts": "-",
            "Dir::State::Lists": folder / "lists",
            "Dir::State::Status": os.devnull,
            "Dir::Cache": folder / "cache",
            "APT::Sandbox::User": "root",
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
        }
        self._options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        self._run("apt-get", "--quiet", "update")

    def depends(self, package: str, pattern: str) -> str:
        """Return the dependency of a package's newest version that matches a pattern."""
        shown = self._run("apt-cache", "--no-all-versions", "show", package)
        line = re.search(rf"^Depends:.*?\b({pattern})", shown, re.MULTILINE)
        if line is None:
            raise Missing(f"The mirror has no package {package} as expected.", "look at it: apt-cache show " + package)
        return line[1].rstrip(",")

    def parts(self, image: str) -> list[str]:
        """Return the packages of its own version that a kernel's package consists of, since Linux 7.0."""
        release = image.removeprefix("linux-image-")
        shown = self._run("apt-cache", "--no-all-versions", "show", image)
        return [
            f"linux-{part}-{release}" for part in ("base", "binary", "modules") if f"linux-{part}-{release} (=" in shown
        ]

    def packages(self) -> list[Path]:
        """Return the files of what was downloaded."""
        return sorted(self.folder.rglob("*.deb"))

    def download(self, packages: Sequence[str]) -> None:
        self._run("apt-get", "--quiet", "download", *packages)

    def download_with_all_they_need(self, packages: Sequence[str]) -> None:
        words = ["--quiet", "--yes", "--no-install-recommends", "--download-only", "-o", "Debug::NoLocking=1"]
        self._run("apt-get", *words, "install", *packages)

    def _run(self, command: str, *words: str) -> str:
        return run(command, *self._options, *words, cwd=self.folder)


def _mirrors() -> tuple[str, str]:
    """Return where this machine gets Debian from: the mirror of the archive and that of its security updates."""
    named = os.environ.get(_MIRROR, "")
    if named:
        return named, ""
    listed = run("apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(REPO_URI)", "Created-By: Packages")
    main = security = ""
    for line in listed.splitlines():
        origin, codename, address = line.split(" ", 2)
        if origin == "Debian":
            if codename.endswith("-security"):
                security = security or address
            elif "-" not in codename:
                main = main or address
    if not main:
        raise Missing("This machine's apt knows no Debian mirror.", f"name one: {_MIRROR}=URL make test-kernels")
    return main, security


def run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Missing(
            f"`{command[0]} {command[-1]}` failed, so the kernel could not be fetched.",
            "check the network and `apt-get update`, then run it again",
            done.stderr.strip()[-2000:],
        )
    return done.stdout
