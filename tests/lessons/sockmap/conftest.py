# SPDX-License-Identifier: Apache-2.0
"""The shortcut, switched on for a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labkit.lessons.sockmap.shortcut import Shortcut


@pytest.fixture
def cut() -> Iterator[Shortcut]:
    with Shortcut() as made:
        yield made
