# SPDX-License-Identifier: Apache-2.0
"""`labkit collect ARCHIVE... --to FOLDER`: unpack handed-in archives, each into a folder of its learner's name.

An archive comes from a stranger. Only plain files of known names are taken, none is larger than `archive` allows, the
unpacked bytes are counted while they are read, and each file must have the checksum that the archive's list gives.
A bad archive leaves nothing behind, and the others go on.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from labkit.classroom.archive import MANIFEST, MOST_BYTES, MOST_FILE_BYTES, MOST_FILES, allowed, learner_name
from labkit.errors import LabkitError

__all__ = ["Collected", "collect"]

_RECEIPT = ".archive.json"
_FIX = "ask the learner to run labkit hand-in again, and to send the file as it is"


@dataclass(frozen=True)
class Collected:
    """What became of one archive: `folder` is None where it was refused; `line` says it in one line, or in two."""

    archive: Path
    folder: Path | None
    line: str


class _Bounded:
    """A file that ends in an error when more is read from it than any class needs: a gzip bomb."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self._file = file
        self._left = MOST_BYTES + (1 << 20)  # and the headers of the members

    def read(self, size: int = -1) -> bytes:
        found = self._file.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(found)
        if self._left < 0:
            raise LabkitError(f"it unpacks to more than {MOST_BYTES >> 20} MiB.", _FIX)
        return found


def collect(archives: Sequence[Path], to: Path) -> list[Collected]:
    """Unpack archives into the class folder `to`, made if need be; return what became of each.

    An archive that is there already is left alone. A second learner of the same name gets a number.

    Raises
    ------
    LabkitError : the class folder cannot be made.
    """
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabkitError(f"{to} cannot be made: {error.strerror}.", "choose another folder: --to FOLDER") from None
    return [_collect_one(archive, to) for archive in archives]


def _collect_one(archive: Path, to: Path) -> Collected:
    try:
        digest = _digest(archive)
        for receipt in to.glob(f"*/{_RECEIPT}"):
            if json.loads(receipt.read_text())["sha256"] == digest:
                there = receipt.parent
                return Collected(archive, there, f"{archive.name}: is in {there.name} already")
        with tempfile.TemporaryDirectory(prefix=".new-", dir=to) as made:
            fresh = Path(made) / "learner"
            fresh.mkdir()
            manifest = _unpack(archive, fresh)
            name = learner_name(manifest["learner"])
            (fresh / _RECEIPT).write_text(json.dumps({"sha256": digest, "archive": archive.name}) + "\n")
            folder = _free(to, name)
            os.rename(fresh, folder)
    except LabkitError as error:
        return Collected(archive, None, f"{archive.name}: {error.what}\n{error.advice}: {error.fix}")
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Collected(archive, None, f"{archive.name}: it is not an archive of labkit hand-in: {said}\nFix: {_FIX}")
    told = "" if folder.name == name else f", because there is another {name}"
    return Collected(archive, folder, f"{archive.name}: unpacked as {folder.name}{told}")


def _digest(archive: Path) -> str:
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _free(to: Path, name: str) -> Path:
    """Return a folder that does not exist; a name that differs in capitals only is the same on some disks."""
    taken = {path.name.casefold() for path in to.iterdir()}
    number, chosen = 1, name
    while chosen.casefold() in taken:
        number += 1
        chosen = f"{name}-{number}"
    return to / chosen


def _unpack(archive: Path, fresh: Path) -> dict[str, Any]:
    """Write the members into a folder and return the archive's list; raise for anything unexpected."""
    found: dict[str, str] = {}
    total = 0
    manifest: dict[str, Any] | None = None
    with gzip.open(archive) as stream, tarfile.open(fileobj=_Bounded(stream), mode="r|") as members:  # type: ignore[call-overload]
        for member in members:
            _check(member, found)
            total += member.size
            if total > MOST_BYTES:
                raise LabkitError(f"it unpacks to more than {MOST_BYTES >> 20} MiB.", _FIX)
            file = members.extractfile(member)
            held = file.read() if file else b""
            if member.name == MANIFEST:
                manifest = json.loads(held)
                continue
            found[member.name] = hashlib.sha256(held).hexdigest()
            path = fresh / member.name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(held)
    if manifest is None:
        raise LabkitError(f"it has no {MANIFEST}.", _FIX)
    if {name: listed["sha256"] for name, listed in manifest["files"].items()} != found:
        raise LabkitError("its files are not those of its list of checksums.", _FIX)
    (fresh / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def _check(member: tarfile.TarInfo, found: dict[str, str]) -> None:
    name = member.name[:80]
    if not member.isreg() or member.issparse():
        raise LabkitError(f"{name!r} in it is not a plain file.", _FIX)
    if not allowed(member.name) or member.name in found:
        raise LabkitError(f"{name!r} is not a file that the lab hands in.", _FIX)
    if member.size > MOST_FILE_BYTES:
        raise LabkitError(f"{name!r} in it has more than {MOST_FILE_BYTES >> 20} MiB.", _FIX)
    if len(found) >= MOST_FILES:
        raise LabkitError(f"it has more than {MOST_FILES} files.", _FIX)
