# SPDX-License-Identifier: Apache-2.0
"""Lesson 01's panel on the running kernel."""

from __future__ import annotations

import pytest

from labkit.lessons import hello


@pytest.mark.bpf
def test_the_panel_sees_as_many_starts_as_the_workload_made() -> None:
    made = hello.panel()
    made.controls["runs"].value = 13
    made.controls["interval_us"].value = 0
    made.run()
    made.wait(120)
    assert made._message.value == ""
    assert len(made.frame) == 13 and set(made.frame["runs"]) == {13}
    assert "13 times; eBPF saw 13 starts" in made._result.value
