# SPDX-License-Identifier: Apache-2.0
"""Run a Python script as a workload: get ready, wait for "go", run it, print one JSON line.

    python3 child.py SCRIPT [ARGUMENT]...

This file is run by the distribution's Python, so it uses nothing of the lab. The JSON line is the dict `told` that the
script leaves, or {}.
"""

import ctypes
import json
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    print("ready", flush=True)
    if sys.stdin.readline() != "go\n":
        return
    del sys.argv[0]
    told = runpy.run_path(sys.argv[0], run_name="__main__").get("told", {})
    print(json.dumps(told), flush=True)


main()
