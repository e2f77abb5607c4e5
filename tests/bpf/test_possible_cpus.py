# SPDX-License-Identifier: Apache-2.0
"""A per-CPU map has a value for each CPU that the kernel may ever have, also for those that are off."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

POSSIBLE = Path("/sys/devices/system/cpu/possible")
ASK = """
from labkit.bpf import maps
from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.written import map_mistakes
for found in map_mistakes(Code("BPF_PERCPU_ARRAY(large, u64, 1 << 30);")):
    print(found.what)
print(maps.possible())
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
@pytest.mark.parametrize(("cpus", "text"), [([0, 1, 2], "0-2"), ([0, 2, 3, 8, 9, 10, 11], "0,2-3,8-11")])
def test_a_per_cpu_map_has_values_for_all_cpus_that_may_come(tmp_path: Path, cpus: list[int], text: str) -> None:
    told = tmp_path / "possible"
    told.write_text(f"{text}\n")
    script = f'mount --bind "$1" {POSSIBLE} && exec "$2" -c "$3"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(told), sys.executable, ASK]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    asked = re.search(r"asks for ([\d.]+) GB", done.stdout)
    assert asked and float(asked[1]) == pytest.approx(len(cpus) * 8 * (1 << 30) / 1e9, abs=0.06)
    assert done.stdout.splitlines()[-1] == str(cpus)
