# SPDX-License-Identifier: Apache-2.0
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
from labkit.bpf.program import Program
from labkit.errors import Missing
from labkit.lessons import verifier
try:
    {what}
except Missing as error:
    print(error)
"""


@pytest.mark.parametrize("what", ['Program("hello").__enter__()', 'verifier.judge("null_test")'])
def test_maps_that_the_kernel_refuses_are_missing_and_no_compile_error(what: str) -> None:
    drop = ["setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin"]
    command = [*drop, sys.executable, "-c", LOAD.format(what=what)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "Operation not permitted" in done.stdout and "--privileged" in done.stdout
