# SPDX-License-Identifier: Apache-2.0
"""A smoke of `make test-kernels`: another kernel boots; lesson 01 counts 23, a kprobe and fentry 997 calls.

It takes a few minutes; LABKIT_TEST_KERNELS=0 leaves it out.
"""

from __future__ import annotations

import json
import os

import pytest
from kernels.__main__ import try_kernel

from labkit.errors import Missing
from labkit.machine.kernels.boot import why_not

SERIES = "6.12"
TESTS = [
    "tests/lessons/hello/test_measure.py::test_twenty_three_runs_are_counted_as_twenty_three",
    "tests/lessons/probes/test_measure.py::test_what_the_doctor_finds_is_counted",  # kprobe and fentry
    "tests/machine/test_doctor.py::test_the_kernels_own_configuration_agrees",
]


@pytest.mark.skipif(why_not() != "", reason=why_not() or "-")
@pytest.mark.skipif(os.environ.get("LABKIT_TEST_KERNELS") == "0", reason="LABKIT_TEST_KERNELS=0 leaves it out")
def test_another_kernel_counts_the_same() -> None:
    try:
        result = try_kernel(SERIES, TESTS, 8 * 60)
    except Missing as error:
        pytest.skip(str(error))
    assert result["release"].startswith(f"{SERIES}."), result
    assert result["lessons"]["01 hello"]["passed"] == 1, json.dumps(result, indent=1)
    assert [failure for row in result["lessons"].values() for failure in row["failures"]] == []
