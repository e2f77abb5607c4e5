# SPDX-License-Identifier: Apache-2.0
"""Who gives up on a command that hangs in the kernel (state D) comes back, and names it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

import pytest
from fuse import FuseFile, reader, unanswered_file

from labkit.errors import LabkitError
from labkit.machine import ending
from labkit.machine.patience import run_while_it_works
from labkit.running import command

WAITS: dict[str, Callable[[list[str]], object]] = {
    "ending.run": lambda words: ending.run(words, 0.3),
    "command.run": lambda words: command.run(words, timeout_s=0.3),
    "run_while_it_works": lambda words: run_while_it_works(words, os.environ, idle_s=0.1),
}


@pytest.fixture
def unanswered(monkeypatch: pytest.MonkeyPatch) -> Iterator[FuseFile]:
    monkeypatch.setattr(ending, "END_S", 0.2)
    with unanswered_file() as file:
        yield file


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_command_that_hangs_in_the_kernel_is_given_up(
    wait: Callable[[list[str]], object], unanswered: FuseFile
) -> None:
    with pytest.raises(LabkitError) as caught:
        wait(reader(unanswered))
    said = re.match(r"Process (\d+) \(dd\) was killed and has not ended: it is in state D", caught.value.what)
    assert said, caught.value.what
    unanswered.answer_all()
    assert os.waitpid(int(said[1]), 0)[0] == int(said[1])


def test_a_command_that_ends_is_returned_with_what_it_wrote() -> None:
    done = ending.run(["sh", "-c", "cat; echo no >&2; exit 23"], 30, text_in="yes\n")
    assert (done.returncode, done.stdout, done.stderr) == (23, "yes\n", "no\n")
