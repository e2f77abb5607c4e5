"""The truths that exercises are compared with."""

from __future__ import annotations

import pytest

from labkit.engine import secret


def test_a_truth_is_unknown_until_its_experiment_has_run() -> None:
    with pytest.raises(secret.Unknown):
        secret.expected("99-never")


def test_a_later_run_replaces_the_truth() -> None:
    secret.expect("99-q1", 23)
    secret.expect("99-q1", 29)
    assert secret.expected("99-q1") == 29


def test_printing_the_vault_tells_nothing() -> None:
    secret.expect("99-q4", "the-needle")
    assert "the-needle" not in repr(secret._VAULT)
    assert not hasattr(secret._VAULT, "__dict__")
