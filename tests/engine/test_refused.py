"""Root without its privileges, as in an ordinary container: what the kernel refuses is missing, and no one's fault."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.bpf,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv"),
]

LOAD = """
from labkit.engine.bpf import Program
from labkit.errors import Missing
try:
    with Program("hello"):
        print("loaded")
except Missing as error:
    print(error)
"""


def test_maps_that_the_kernel_refuses_are_missing_and_no_compile_error() -> None:
    drop = ["setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin"]
    done = subprocess.run([*drop, sys.executable, "-c", LOAD], capture_output=True, text=True, check=True, timeout=120)
    assert "Operation not permitted" in done.stdout and "privileged container" in done.stdout
