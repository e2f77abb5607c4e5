# SPDX-License-Identifier: Apache-2.0
"""The distribution's bcc, importable from any venv or conda environment.

BCC is not on PyPI: the package named `bcc` there is something else. The distribution's `python3-bpfcc` is pure Python
over a shared library, so any Python 3 can import it. Putting all of `dist-packages` on the path would bring in every
other package of the system; a folder with nothing in it but a link to `bcc` brings in this one alone. `make setup`
names such a folder in a `.pth` file; `load_bcc` makes one by itself where setup has not been.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

from labkit.errors import Missing
from labkit.machine.folders import cache_folder
from labkit.machine.headers import CHOICE, kernel_headers

__all__ = [
    "NEWER_CXX_LIBRARY",
    "SYSTEM_BCC",
    "impostor",
    "link_bcc",
    "load_bcc",
    "old_cxx_library",
]

SYSTEM_BCC = Path("/usr/lib/python3/dist-packages/bcc")
_INSTALL = "sudo apt-get install python3-bpfcc"
NEWER_CXX_LIBRARY = "conda install --yes --channel conda-forge 'libstdcxx-ng>=13'  # or use the .venv of make setup"


def load_bcc() -> ModuleType:
    """Import the distribution's bcc, told which kernel headers to compile against: what `kernel_headers` finds.

    Raises
    ------
    Missing : bcc is not installed, its library does not load, or there are no headers.
    """
    module = sys.modules.get("bcc")
    if module is None or not hasattr(module, "BPF"):
        module = _import()
    if CHOICE not in os.environ:  # the reader's own choice stands
        os.environ.update(kernel_headers().environment)
    return module


def impostor() -> str:
    """Return the version of PyPI's unrelated `bcc` if this Python has it installed, else an empty string.

    The distribution's own package has the same name; it is known by its place.
    """
    from importlib.metadata import distributions

    strangers = (found for found in distributions(name="bcc") if found.locate_file("bcc") != SYSTEM_BCC)
    return next((stranger.version for stranger in strangers), "")


def old_cxx_library(error: BaseException) -> bool:
    """Return True where a library did not load since the environment (conda's) brings an older C++ library."""
    return any(version in str(error) for version in ("GLIBCXX", "CXXABI"))


def link_bcc(folder: Path) -> Path:
    """Make `folder` hold one entry, a link named `bcc` to the distribution's package, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "bcc"
    if not link.is_symlink() or Path(os.readlink(link)) != SYSTEM_BCC:
        aside = folder / f".bcc-{os.getpid()}"  # made aside and renamed, so that it is never seen half made
        aside.unlink(missing_ok=True)
        aside.symlink_to(SYSTEM_BCC)
        aside.replace(link)
    return folder


def _import() -> ModuleType:
    if not (SYSTEM_BCC / "__init__.py").is_file():
        raise _absent()
    for name in [name for name in sys.modules if name == "bcc" or name.startswith("bcc.")]:
        del sys.modules[name]  # the impostor, imported by someone else
    folder = str(link_bcc(cache_folder() / "bcc"))
    # Only for this import, and first, so that an impostor in the environment does not hide it.
    sys.path.insert(0, folder)
    try:
        importlib.invalidate_caches()
        return importlib.import_module("bcc")
    except (ImportError, OSError) as error:
        if old_cxx_library(error):
            raise Missing(f"This Python brings a C++ library older than BCC's: {error}", NEWER_CXX_LIBRARY) from error
        raise Missing(
            f"The distribution's bcc is installed but does not load: {error}",
            "sudo apt-get install --reinstall python3-bpfcc libbpfcc",
        ) from error
    finally:
        sys.path.remove(folder)


def _absent() -> Missing:
    version = impostor()
    if version:
        return Missing(
            f"The bcc of this Python (bcc {version}, from PyPI) is an unrelated package, not BCC for eBPF.",
            f"{sys.executable} -m pip uninstall --yes bcc && {_INSTALL}",
        )
    return Missing("bcc, the BPF Compiler Collection for Python, is not installed.", _INSTALL)


def main() -> None:
    """Name the link folder in this environment's `.pth` file, so that a plain `import bcc` works in it."""
    site = Path(sysconfig.get_path("purelib"))
    folder = link_bcc(site / "labkit_bcc")
    (site / "labkit-bcc.pth").write_text(f"{folder}\n")


if __name__ == "__main__":
    main()
