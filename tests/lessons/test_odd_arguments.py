# SPDX-License-Identifier: Apache-2.0
"""An experiment accepts any argument, or refuses it in two short lines, without a bare exception."""

from __future__ import annotations

import importlib
import inspect
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import errors
from labkit.course import LESSONS
from labkit.errors import BadArgument, LabkitError
from labkit.running import owner

LONGEST_LINE = 1500  # the list of what is allowed may be long
IS_LONG = os.environ.get("LABKIT_FUZZ", "") not in ("", "0")  # `make fuzz`
EXAMPLES = 30_000 if IS_LONG else 300
OF_EACH_ARGUMENT = 1000 if IS_LONG else 20
_LETTER = st.characters(codec="utf-8")
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(_LETTER, max_size=30), st.binary(max_size=9)
)
ODD: dict[str, Any] = {
    "a number of 5000 digits": 10**5000,
    "its negative": -(10**5000),
    "a text of 100 kB": "x" * 100_000,
    "a text of many lines": "a\nb\n" * 50,
    "a path with a NUL": "a\0b",
    "a path of 100 000 letters": "/" + "p" * 100_000,
    "a Path": Path("/nowhere"),
    "a folder": "/tmp",
    "bytes": b"4096",
    "int8": np.int8(1),
    "uint64": np.uint64(2**64 - 1),
    "a 0-d array": np.array(5),
    "a 0-d array of text": np.array("x"),
    "an array": np.arange(7),
    "a table of numbers": np.ones((50, 50)),
    "no array": np.array([]),
    "Series": pd.Series(range(200)),
    "DataFrame": pd.DataFrame({"a": range(200), "b": range(200)}),
    "NaT": pd.NaT,
    "NA": pd.NA,
    "complex": 1j,
    "not a number": float("nan"),
    "infinite": float("inf"),
    "a list in a list": [[[]]],
    "no list": [],
    "an endless iterator": itertools.count(1),
    "a range of a billion": range(1, 10**9),
    "a set": {1, 2},
    "a dict": {"a": 1},
    "a function": len,
    "a class": dict,
    "a module": errors,
    "surrogates": "\ud800",
}


class Accepted(BaseException):
    """The arguments were accepted: the measurement would begin now."""


def _experiments() -> Iterator[Any]:
    for lesson in LESSONS:
        module = importlib.import_module(f"labkit.lessons.{lesson.stem}")
        for name, function in sorted(vars(module).items()):
            if inspect.isfunction(function) and "progress" in inspect.signature(function).parameters:
                for parameter in inspect.signature(function).parameters:
                    if parameter != "progress":
                        yield pytest.param(function, parameter, id=f"{lesson.stem}.{name}({parameter})")


EXPERIMENTS = list(_experiments())


@pytest.fixture(autouse=True, scope="module")
def nothing_starts() -> Iterator[None]:
    def accepted(*_: object, **__: object) -> None:
        raise Accepted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, "acquire", accepted)
        patch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
        yield


def check(function: Callable[..., object], parameter: str, value: object) -> None:
    try:
        function(**{parameter: value})
    except Accepted:
        return
    except LabkitError as error:
        assert isinstance(error, BadArgument), error
        assert len(str(error).splitlines()) == 2, str(error)[:2000]
        assert max(map(len, str(error).splitlines())) < LONGEST_LINE, str(error)[:2000]
    else:
        pytest.fail("neither refused nor measured")


@pytest.mark.parametrize(("function", "parameter"), EXPERIMENTS)
def test_an_odd_argument_is_taken_or_refused_in_two_lines(function: Callable[..., object], parameter: str) -> None:
    for name, value in ODD.items():
        try:
            check(function, parameter, value)
        except Exception as cause:
            raise AssertionError(f"{name}: {type(cause).__name__}") from cause


@pytest.mark.parametrize(("function", "parameter"), EXPERIMENTS)
@settings(max_examples=OF_EACH_ARGUMENT)
@given(value=st.one_of(SCALARS, st.lists(SCALARS, max_size=4), st.integers(1, 5000), st.lists(st.integers(1, 99))))
def test_any_argument_is_taken_or_refused_in_two_lines(
    function: Callable[..., object], parameter: str, value: object
) -> None:
    check(function, parameter, value)


# -- the checks themselves --------------------------------------------------------------------------------

ANYTHING = st.one_of(
    SCALARS, st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3)), st.sampled_from(list(ODD))
)


@settings(max_examples=EXAMPLES)
@given(value=ANYTHING)
@pytest.mark.parametrize(
    "check",
    [
        lambda value: errors.check_int("x", value, 1, 100),
        lambda value: errors.check_ints("x", value, 1, 100),
        lambda value: errors.check_float("x", value, 0, 1),
        lambda value: errors.check_choice("x", value, ["a", "b"]),
        lambda value: errors.check_choices("x", value, ["a", "b"]),
        lambda value: errors.check_file("x", value),
        lambda value: errors.check_seed(value),
        lambda value: errors.several("x", value),
    ],
)
def test_a_check_returns_or_refuses(check: Callable[[object], object], value: object) -> None:
    try:
        check(ODD.get(value, value) if isinstance(value, str) else value)
    except BadArgument as refused:
        assert len(str(refused).splitlines()) == 2
        assert len(str(refused)) < 400


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.int64])
def test_a_small_kind_of_number_becomes_pythons(kind: type) -> None:
    assert type(errors.check_int("x", kind(1), 1, 100)) is int
    assert {type(each) for each in errors.check_ints("x", np.array([1, 2], dtype=kind), 1, 100)} == {int}
