# SPDX-License-Identifier: Apache-2.0
"""The programs that learners write in lesson 05, and the cases in which they are tried."""

from __future__ import annotations

from labkit.lessons._judge.cases import Case, not_watched
from labkit.lessons._judge.kept import Kept
from labkit.lessons._judge.tool import Tool, summed

__all__ = ["BYTES", "PATHS"]

PATH_BYTES = 32  # of struct path, with the zero at its end
_CUT = f"A path of more than {PATH_BYTES - 1} letters is cut: its first {PATH_BYTES - 1} letters are the key."
_REPLY = {"on_reply": ("labkit:reply", 4)}


def _path(letters: int) -> str:
    """Return a path of that length, as c/workloads/script/functions.c makes it."""
    return "".join(chr(ord("a") + (i - 1) % 26) if i else "/" for i in range(letters))


PATHS = Tool(
    "05",
    (Kept("paths", "BPF_HASH(paths, struct path, u64);", key=f"text{PATH_BYTES}", label="path"),),
    lambda acts: {"paths": summed((_path(act.arguments[0])[: PATH_BYTES - 1], act.done) for act in acts)},
    (
        Case(
            "one path",
            "main: reply 11-40 5-12 200 100",
            more="That is not the path. It is the text that argument 2 points to, up to its end. "
            "bpf_probe_read_user_str stops there; bpf_probe_read_user also copies what follows.",
            less="The path is argument 2 of the probe, a pointer into the memory of the process: the program must copy "
            "the text from there.",
        ),
        not_watched("main: reply 3-9 7 200 1", "main: reply 11-40 9-12 200 1", counted="Replies"),
        Case(
            "several paths",
            "main: reply 3-9 20-25 200 1, reply 11-19 3-5 200 1, reply 3-9 10-15 200 1",
            more="The key has room for 31 letters. Give the whole of it to the helper: sizeof(path).",
        ),
        Case("a path longer than the buffer", "main: reply 3-9 40-99 200 1", less=_CUT, more=_CUT),
        Case("an empty path", "main: reply 3-9 0 404 1", less="An empty path is a path, too: its key has no letters."),
    ),
    usdt=_REPLY,
)

BYTES = Tool(
    "05",
    (Kept("bytes_by_status", "BPF_HASH(bytes_by_status, s32, u64);", key="s32", label="status"),),
    lambda acts: {"bytes_by_status": summed((act.arguments[1], act.bytes) for act in acts)},
    (
        Case(
            "one status",
            "main: reply 11-40 5 200 100-900",
            less="Argument 1 is the status and argument 3 the number of bytes: add the bytes up, by status.",
            more="Argument 1 is the status and argument 3 the number of bytes: add the bytes up, by status.",
        ),
        not_watched("main: reply 3-9 5 200 100", "main: reply 11-40 5 404 99", counted="Replies"),
        Case(
            "several statuses, one below 0",
            "main: reply 3-9 5 200 10-99, reply 3-9 5 -2 10-99, reply 3-9 5 404 10-99",
            less="A status may be below 0. It is a signed number of 4 bytes, and so must be the key.",
        ),
        Case(
            "more than 4 GiB",
            "main: reply 3-9 5 200 5000000000-9000000000",
            less="The number of bytes does not fit in 32 bits. Keep it in a u64.",
        ),
        Case(
            "two threads",
            "main: reply 99-300 5 200 100-900; thread: reply 99-300 5 200 100-900",
            less="Two threads add to one sum at a time: add in one step, as in lesson 02.",
        ),
    ),
    usdt=_REPLY,
)
