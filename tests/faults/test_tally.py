# SPDX-License-Identifier: Apache-2.0
"""Delivered + lost = produced for some 100,000 events; `make tally` has a hundred million."""

from __future__ import annotations

import pytest
from faults.tally import WAYS, tallies

pytestmark = pytest.mark.bpf
EVENTS = 100_000


def test_each_event_is_delivered_or_counted_as_lost() -> None:
    table = tallies(EVENTS)
    assert list(table["way"]) == list(WAYS)
    assert (table["produced"] >= EVENTS // len(WAYS)).all()
    assert (table["delivered"] + table["lost"] == table["produced"]).all()
    assert (table["wrong_runs"] == 0).all()
    assert table.set_index("way")["lost"]["ring and perf buffers, too small"] > 0
    assert table.set_index("way")["lost"]["hash map, too small"] > 0
