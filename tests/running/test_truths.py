# SPDX-License-Identifier: Apache-2.0
"""The truths that exercises are compared with."""

from __future__ import annotations

import pytest

from labkit.running import truths


def test_a_truth_is_unknown_until_its_experiment_has_run() -> None:
    with pytest.raises(truths.Unknown):
        truths.expected("99-never")


def test_a_later_run_replaces_the_truth() -> None:
    truths.expect("99-q1", 23)
    truths.expect("99-q1", 29)
    assert truths.expected("99-q1") == 29


def test_printing_the_vault_tells_nothing() -> None:
    truths.expect("99-q4", "the-needle")
    assert "the-needle" not in repr(truths._VAULT)
    assert not hasattr(truths._VAULT, "__dict__")
