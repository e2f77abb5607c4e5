# SPDX-License-Identifier: Apache-2.0
"""How the lab's side and the learner's side of a graded notebook talk: one socket, messages with their length before.

The lab sends pickles, because the learner's side trusts it. The learner's side sends JSON and nothing else: whatever a
learner's code writes into the socket, the lab's side reads numbers, texts, lists and tables, and never an object.
"""

from __future__ import annotations

import json
import pickle
import socket
import struct
import time
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Ended", "LabEnd", "LearnerEnd", "NotPlain", "Overtime", "from_plain", "to_plain"]

MOST_BYTES = 16 << 20  # of one message of the learner's side
MOST_DEPTH = 20
_LENGTH = struct.Struct("!I")


class Ended(Exception):
    """The other side is gone, or it sent what is not a message."""


class Overtime(Ended):
    """The other side did not answer in time."""


class NotPlain(ValueError):
    """A value that is more than numbers, texts, lists and tables."""


def to_plain(value: Any, depth: int = MOST_DEPTH) -> Any:
    """Return a value as JSON can hold it; raise `NotPlain` for anything but numbers, texts, lists and tables.

    A list stays a list; whatever is not JSON's own is a dict with one key that begins with "$".
    """
    if depth < 0:
        raise NotPlain(f"it is nested more than {MOST_DEPTH} deep")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value.item() if isinstance(value, np.generic) else value
    if value is ...:
        return {"$dots": 0}
    if isinstance(value, np.generic):
        return to_plain(value.item(), depth)
    if isinstance(value, pd.DataFrame):
        columns = [[str(name), to_plain(value[name].tolist(), depth - 1)] for name in value]
        return {"$frame": columns, "index": to_plain(value.index.tolist(), depth - 1)}
    if isinstance(value, (pd.Series, pd.Index, np.ndarray)):
        return to_plain(value.tolist(), depth)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(part, depth - 1) for part in value]
    if isinstance(value, dict):
        return {"$dict": [[to_plain(key, depth - 1), to_plain(held, depth - 1)] for key, held in value.items()]}
    handle = getattr(type(value), "labkit_handle", None)  # a program of the lab's side
    if handle is not None:
        return {"$program": str(handle.__get__(value))}
    raise NotPlain(f"a {type(value).__name__} is neither a number, a text, a list nor a table")


def from_plain(value: Any, programs: Any = None) -> Any:
    """Return what `to_plain` was given; a program is looked up by its name in `programs`, a mapping.

    Raises
    ------
    NotPlain : it is not what `to_plain` makes, or names no program.
    """
    try:
        if isinstance(value, list):
            return [from_plain(part, programs) for part in value]
        if not isinstance(value, dict):
            return value
        if "$dots" in value:
            return ...
        if "$dict" in value:
            return {_key(from_plain(key)): from_plain(held, programs) for key, held in value["$dict"]}
        if "$frame" in value:
            columns = {str(name): from_plain(column) for name, column in value["$frame"]}
            return pd.DataFrame(columns, index=from_plain(value["index"]))
        return (programs or {})[value["$program"]]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise NotPlain(f"it cannot be read: {error}") from None


def _key(key: Any) -> Any:
    return tuple(key) if isinstance(key, list) else key


class _End:
    """One end of the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def close(self) -> None:
        self._connection.close()

    def _write(self, message: bytes) -> None:
        try:
            self._connection.sendall(_LENGTH.pack(len(message)) + message)
        except TimeoutError:
            raise Overtime("the answer was not fetched in time") from None
        except OSError as error:
            raise Ended(str(error)) from None

    def _read(self, most_bytes: int, ends_s: float | None = None) -> bytes:
        (length,) = _LENGTH.unpack(self._read_bytes(_LENGTH.size, ends_s))
        if length > most_bytes:
            raise Ended(f"a message of {length} bytes is longer than {most_bytes}")
        return self._read_bytes(length, ends_s)

    def _read_bytes(self, length: int, ends_s: float | None) -> bytes:
        found = bytearray()
        while len(found) < length:
            try:
                if ends_s is not None:
                    self._connection.settimeout(max(0.01, ends_s - time.monotonic()))
                part = self._connection.recv(min(length - len(found), 1 << 20))
            except TimeoutError:
                raise Overtime("it did not answer in time") from None
            except OSError as error:
                raise Ended(str(error)) from None
            if not part:
                raise Ended("its process ended")
            found += part
        return bytes(found)


class LabEnd(_End):
    """The lab's end: sends objects, reads JSON."""

    def send(self, message: Any) -> None:
        """Send an object; raises what pickle raises, and `Ended`."""
        self._write(pickle.dumps(message))

    def receive(self, ends_s: float) -> dict[str, Any]:
        """Return the next message; `ends_s` is the latest time, of `time.monotonic`.

        Raises
        ------
        Overtime : it is later than that.
        Ended : there is none, or it is not a JSON object.
        """
        try:
            message = json.loads(self._read(MOST_BYTES, ends_s))
        except (ValueError, RecursionError):
            raise Ended("it sent what is not JSON") from None
        if not isinstance(message, dict):
            raise Ended("it sent what is not a JSON object")
        return message


class LearnerEnd(_End):
    """The learner's end: sends JSON, reads objects."""

    def send(self, message: dict[str, Any]) -> None:
        """Send a JSON object."""
        self._write(json.dumps(message).encode())

    def receive(self) -> Any:
        """Return the next object of the lab's side."""
        return pickle.loads(self._read(1 << 30))
