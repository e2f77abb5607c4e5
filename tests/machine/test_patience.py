# SPDX-License-Identifier: Apache-2.0
"""A slow command is waited for; a stuck one is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.machine.doctor import software
from labkit.machine.patience import run_while_it_works

WORKS = "import time\nwhile time.process_time() < 2: pass\nprint('done')"
SLEEPS = "import time; time.sleep(60)"


def test_a_command_that_works_is_waited_for_longer_than_it_may_be_idle() -> None:
    done = run_while_it_works([sys.executable, "-c", WORKS], os.environ, idle_s=1.0)
    assert (done.returncode, done.stdout) == (0, "done\n")


@pytest.mark.parametrize(("source", "limits"), [(SLEEPS, {"idle_s": 0.7}), (WORKS, {"most_s": 0.7})])
def test_what_is_stuck_or_takes_too_long_is_killed(source: str, limits: dict[str, float], tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    text = f"import os; open({str(mark)!r}, 'w').write(str(os.getpid()))\n{source}"
    with pytest.raises(subprocess.TimeoutExpired):
        run_while_it_works([sys.executable, "-c", text], os.environ, **limits)
    assert not Path(f"/proc/{mark.read_text()}").exists()


@pytest.mark.bpf
def test_the_doctor_calls_a_slow_bcc_slow_and_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "_SLOW_S", 0.0)
    found = software.bcc()
    assert found.state == "ok" and "slow" in found.reason, found


@pytest.mark.bpf
def test_a_bcc_that_is_not_slow_is_not_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "_SLOW_S", 3600.0)
    assert "slow" not in software.bcc().reason
