# SPDX-License-Identifier: Apache-2.0
"""Comparisons in several settings: each by itself, and a warning of the frame only once."""

from __future__ import annotations

import pandas as pd

from labkit import schema
from labkit.stats import settings


def test_each_setting_has_its_own_ratio_and_a_warning_of_the_frame_comes_once() -> None:
    rows = [
        {"block_bytes": size, "arm": arm, "slice": number, "value": times * (1 + number / 1000)}
        for size, fast in ((512, 2.0), (4096, 3.0))
        for arm, times in (("slow", 1.0), ("fast", fast))
        for number in range(6)
    ]
    frame = schema.frame(pd.DataFrame(rows), warnings=["one way is left out"])
    found = settings.ratios(frame, ["block_bytes"], "slow", lambda here: str(here["block_bytes"]))
    assert found.set_index("block_bytes")["ratio"].round(6).to_dict() == {512: 2.0, 4096: 3.0}
    assert found.attrs["warnings"] == ["one way is left out"]
    assert found.attrs["baseline"] == "slow"
