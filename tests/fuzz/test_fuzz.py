# SPDX-License-Identifier: Apache-2.0
"""Foreign input is read, or refused in two short lines: inputs that once failed, and some new ones.

`make fuzz` tries a million.
"""

from __future__ import annotations

import ast
import warnings

import pytest
from fuzz.campaign import campaign, corpus_file, failure
from fuzz.mutate import Mutator
from fuzz.targets import TARGETS, Target

INPUTS = 4000  # of all targets together, as `make fuzz` shares them out
SEED = 14
WHOLE = sum(target.weight for target in TARGETS)


@pytest.fixture(autouse=True)
def quiet() -> None:
    warnings.simplefilter("ignore", SyntaxWarning)  # of a learner's cell


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_input_is_read_otherwise_than_well(target: Target) -> None:
    kept = corpus_file(target).read_text().splitlines() if corpus_file(target).exists() else []
    with target.opened() as read:
        failed = {line[:200]: words for line in kept if (words := failure(read, ast.literal_eval(line)))}
    assert failed == {}
    done = campaign(target, max(5, round(INPUTS * target.weight / WHOLE)), SEED, keep=False)
    assert done.failures == {}


def test_the_same_seed_draws_the_same_inputs() -> None:
    one, other = Mutator([b"a b", b"c"], 1), Mutator([b"a b", b"c"], 1)
    drawn = [one.draw() for _ in range(500)]
    assert drawn == [other.draw() for _ in range(500)]
    assert len(set(drawn)) > 200


def test_an_input_that_raises_is_a_failure_with_its_place() -> None:
    assert failure(lambda _: int("x"), b"").startswith("ValueError in test_fuzz.py:")
    assert failure(len, b"") == ""
