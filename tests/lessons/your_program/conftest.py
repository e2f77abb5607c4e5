# SPDX-License-Identifier: Apache-2.0
"""What the tests of lesson 12 share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from obedient import Obedient


@pytest.fixture
def obedient() -> Iterator[Obedient]:
    with Obedient() as process:
        yield process
