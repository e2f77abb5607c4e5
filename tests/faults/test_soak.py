# SPDX-License-Identifier: Apache-2.0
"""The soak's arithmetic: what grows is found, what only fluctuates is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
from faults.soak import slopes


def test_what_grows_is_found_and_what_fluctuates_is_not() -> None:
    chance = np.random.default_rng(1)
    rounds = pd.DataFrame(
        {
            "descriptors": np.arange(40) + 10,
            "threads": np.full(40, 7),
            "memory_kib": 100_000 + chance.normal(0, 50, 40),
        }
    )
    table = slopes(rounds)
    assert list(table.index[table["grows"]]) == ["descriptors"]


def test_what_settles_in_the_first_half_does_not_count() -> None:
    settled = np.concatenate([np.arange(20), np.full(20, 20)])
    assert not slopes(pd.DataFrame({"descriptors": settled}))["grows"].any()
