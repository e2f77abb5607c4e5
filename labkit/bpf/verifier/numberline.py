# SPDX-License-Identifier: Apache-2.0
"""Two ranges one above the other: where an access may begin, and where it may begin as far as the verifier knows."""

from __future__ import annotations

__all__ = ["numberline"]

_WIDTH = 40  # letters
_FAR = 4  # a range that reaches further than this many times the allowed one is drawn with an arrow


def numberline(allowed: tuple[int, int], actual: tuple[int, int]) -> list[str]:
    """Return two lines of text with bars in one scale.

    Parameters
    ----------
    allowed, actual : the first and the last number of each range.
    """
    span = max(allowed[1] - allowed[0], 1)
    low = max(min(allowed[0], actual[0]), allowed[0] - _FAR * span)
    high = min(max(allowed[1], actual[1]), allowed[1] + _FAR * span)
    return [
        f"{name} {_bar(one, low, high)}  {_words(one)}" for name, one in (("allowed", allowed), ("known  ", actual))
    ]


def _bar(one: tuple[int, int], low: int, high: int) -> str:
    def place(number: int) -> int:
        return round((min(max(number, low), high) - low) * (_WIDTH - 1) / max(high - low, 1))

    first, last = place(one[0]), place(one[1])
    bar = ["="] * (last - first + 1)
    bar[0] = "<" if one[0] < low else "|"
    bar[-1] = ">" if one[1] > high else "|"
    return f"{' ' * first}{''.join(bar)}".ljust(_WIDTH)


def _words(one: tuple[int, int]) -> str:
    return f"{one[0]}" if one[0] == one[1] else f"{one[0]} to {one[1]}"
