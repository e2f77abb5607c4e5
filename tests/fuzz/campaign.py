# SPDX-License-Identifier: Apache-2.0
"""Try many inputs on one target, and make what fails smaller."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.mutate import Mutator
from fuzz.targets import Target

__all__ = ["Campaign", "campaign", "corpus_file", "failure"]

CORPUS = Path(__file__).with_name("corpus")
LIMIT_S = 10.0  # of CPU time for one input: the machine may be busy
MOST_FAILURES = 20
_SMALLER_S = 20.0


@dataclass
class Campaign:
    """The result of a campaign: `failures` is input -> what it raised."""

    inputs: int = 0
    seconds: float = 0.0
    failures: dict[bytes, str] = field(default_factory=dict)


class TooSlow(BaseException):
    """One input took longer than the limit."""


def corpus_file(target: Target) -> Path:
    """Return the file with the inputs that once failed: one Python literal per line."""
    return CORPUS / f"{target.name}.txt"


def campaign(target: Target, inputs: int, seed: int, *, keep: bool = True) -> Campaign:
    """Try inputs, drawn from the target's seeds; those that fail are kept as files unless `keep` is False."""
    done, began_s, known = Campaign(), time.monotonic(), set()
    with ExitStack() as held:
        read = held.enter_context(target.opened())
        drawn = Mutator(target.seeds(), seed, target.most_bytes)
        for _ in range(inputs):
            text = drawn.draw()
            done.inputs += 1
            words = failure(read, text)
            if words and words not in known and len(known) < MOST_FAILURES:
                known.add(words)
                text = _smaller(read, text, words)
                done.failures[text] = words
                if keep:
                    with corpus_file(target).open("a") as file:
                        file.write(f"{text!r}\n")
    done.seconds = time.monotonic() - began_s
    return done


def failure(read: Callable[[bytes], object], text: bytes) -> str:
    """Return what an input raises that it should not, with the place; an empty text if all is well."""

    def too_slow(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, too_slow)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
    try:
        read(text)
    except (Exception, TooSlow) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        own = [each for each in traceback.extract_tb(error.__traceback__) if "/labkit/" in each.filename]
        place = own[-1] if own else place
        return f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno} ({place.name})"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return ""


def _smaller(read: Callable[[bytes], object], text: bytes, words: str) -> bytes:
    """Return a shorter input that fails at the same place: parts are left out, ever smaller ones."""
    ends_s = time.monotonic() + _SMALLER_S
    step = len(text) // 2
    while step:
        at = 0
        while at < len(text) and time.monotonic() < ends_s:
            shorter = text[:at] + text[at + step :]
            if failure(read, shorter) == words:
                text = shorter
            else:
                at += step
        step //= 2
    return text
