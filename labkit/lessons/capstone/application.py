# SPDX-License-Identifier: Apache-2.0
"""A small application on SQLite, as a workload: it puts rows into a table, some of them in each transaction.

    python3 application.py --folder DATA --journal wal --synchronous full --transactions 23

It opens its database before it is ready, so after "go" there is only the work. It ends with `os._exit`, so that the end
of Python itself is not seen. This file uses nothing of the lab.
"""

import argparse
import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
UNABLE = 77


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="an empty folder, for orders.db and what belongs to it")
    add("--journal", default="delete", help="SQLite's journal_mode: delete, truncate, persist or wal")
    add("--synchronous", default="full", help="SQLite's synchronous: off, normal, full or extra")
    add("--transactions", type=int, default=101, help="how many")
    add("--rows-per-transaction", type=int, default=1, help="rows put in by each of them")
    add("--row-bytes", type=int, default=4096, help="size of a row")
    add("--leave-open", action="store_true", help="do not close the database: SQLite cannot clean up")
    add("--marks", action="store_true", help="call getppid() before each transaction, for whoever watches")
    add("--go", action="store_true", help="do not wait for `go`")
    return parser.parse_args()


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    asked = options()
    try:
        import sqlite3
    except ImportError as error:
        fail(f"this Python has no SQLite: {error}", "", UNABLE)
    try:
        database = sqlite3.connect(asked.folder / "orders.db", isolation_level=None)  # we say BEGIN and COMMIT
        database.execute(f"PRAGMA journal_mode = {asked.journal}")
        database.execute(f"PRAGMA synchronous = {asked.synchronous}")
        database.execute("CREATE TABLE orders (number INTEGER PRIMARY KEY, content BLOB)")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # with another journal it does nothing
        if not asked.go:
            print("ready", flush=True)
            if sys.stdin.readline() != "go\n":
                return
        content = b"x" * asked.row_bytes
        began = time.monotonic()
        # show: work
        for _ in range(asked.transactions):
            if asked.marks:
                os.getppid()
            database.execute("BEGIN")
            for _ in range(asked.rows_per_transaction):
                database.execute("INSERT INTO orders (content) VALUES (?)", (content,))
            database.execute("COMMIT")
        # show: end
        if not asked.leave_open:
            database.close()  # with a write-ahead log, its pages go into the database now: that belongs to the price
        elapsed_s = time.monotonic() - began
    except sqlite3.Error as error:
        fail(f"SQLite says: {error}", "look at the room on the disk, or set LABKIT_DATA to a folder on another", 1)
    result = {
        "transactions": asked.transactions,
        "rows": asked.transactions * asked.rows_per_transaction,
        "elapsed_s": elapsed_s,
        "sqlite": sqlite3.sqlite_version,
    }
    os.write(1, json.dumps(result).encode() + b"\n")
    os._exit(0)


def fail(what: str, fix: str, status: int) -> None:
    sys.stderr.write(f"{what}\nFix: {fix}\n" if fix else f"{what}\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
