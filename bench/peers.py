# SPDX-License-Identifier: Apache-2.0
"""python -m bench.peers: fetch the peers whose packages would start a service, and only unpack them.

nginx is the one: its package is downloaded by apt-get and unpacked into the lab's cache folder. It is not installed,
none of its scripts runs, and no service starts. The bench itself downloads nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from labkit.errors import LabkitError, Missing
from labkit.machine.folders import cache_folder, made_once
from labkit.running.command import run

__all__ = ["FETCH", "fetch", "nginx", "version"]

FETCH = "make bench-peers"
_IN_PACKAGE = Path("usr/sbin/nginx")
_APT_S = 300.0


def nginx() -> Path:
    """Return the nginx that was fetched, or else one that is installed.

    Raises
    ------
    Missing : there is neither.
    """
    unpacked = _folder() / _IN_PACKAGE
    if unpacked.exists():
        return unpacked
    if installed := shutil.which("nginx"):
        return Path(installed)
    raise Missing("nginx is not here.", FETCH)


def version(program: Path) -> str:
    """Return what a program of nginx says of itself, such as "nginx/1.22.1".

    Raises
    ------
    Missing : it does not start, for want of a library.
    """
    told = run([program, "-v"], timeout_s=30)
    if told.returncode != 0:
        raise Missing("nginx does not start.", "sudo apt-get install libpcre2-8-0 libssl3 zlib1g", told.stderr)
    return told.stderr.strip().rpartition(" ")[2]


def fetch() -> Path:
    """Return nginx, downloaded and unpacked once; what fails half-way leaves nothing.

    Raises
    ------
    Missing : apt-get cannot download it, or it does not start here.
    """
    program = made_once(_folder(), _unpack) / _IN_PACKAGE
    version(program)
    return program


def _unpack(folder: Path) -> None:
    # in a folder that it owns, apt-get downloads as root without a warning
    download = ["env", "-C", str(folder), "apt-get", "--quiet", "-o", "APT::Sandbox::User=root", "download", "nginx"]
    fix = f"sudo apt-get update, then: {FETCH}"
    got = run(download, timeout_s=_APT_S)
    package = next(folder.glob("nginx_*.deb"), None)
    if got.returncode != 0 or package is None:
        raise Missing("apt-get could not download the package nginx.", fix, got.stderr)
    made = run(["dpkg-deb", "--extract", package, folder], timeout_s=_APT_S)
    if made.returncode != 0 or not os.access(folder / _IN_PACKAGE, os.X_OK):
        raise Missing("The package nginx has no /usr/sbin/nginx.", fix, made.stderr)
    package.unlink()


def _folder() -> Path:
    return cache_folder() / "bench" / "nginx"


if __name__ == "__main__":
    try:
        found = fetch()
        print(f"  {version(found)} is in {found}: not installed, and no service of it runs")
    except LabkitError as error:
        sys.exit(f"bench-peers: {error}")
