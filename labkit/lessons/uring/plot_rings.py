# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: one moment of the two rings as a drawing, and in words."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from math import cos, pi, sin

import pandas as pd

from labkit.notebook.render import TEXT

__all__ = ["Moment", "moments", "picture", "pictures", "ring_sizes"]

_WIDTH, _HEIGHT, _OUTER, _INNER = 700, 262, 84, 50
_FILLED, _SHOWN, _WORKED, _RESULT = "#999999", "#D55E00", "#CC79A7", "#0072B2"
_LEGEND = (
    (_FILLED, "filled in, not submitted yet"),
    (_SHOWN, "submitted, not consumed yet"),
    (_WORKED, "in flight"),
    (_RESULT, "result, not seen yet"),
)


@dataclass(frozen=True)
class Moment:
    """Which reads are where after one step; reads are numbered in the order in which they were filled in."""

    step: int
    action: str
    heads_and_tails: dict[str, int]
    filled: list[int]  # in the submission ring, behind its tail
    submitted: list[int]  # between its head and tail
    in_flight: list[int]  # consumed by the kernel
    results: dict[int, int]  # place in the completion ring -> read, between its head and tail
    words: str


def moments(frame: pd.DataFrame) -> list[Moment]:
    """Return what each row of a frame of `uring.steps` means."""
    reads = _reads_by_completion(frame)
    made, fills, seen = [], 0, 0
    for row in frame.to_dict("records"):
        fills += row["action"] == "fill"
        seen += row["action"] == "seen"
        places = {name: int(row[name]) for name in ("sq_head", "sq_tail", "cq_head", "cq_tail")}
        ended = {reads[place] for place in range(places["cq_tail"]) if place in reads}
        results = {place: reads[place] for place in range(places["cq_head"], places["cq_tail"]) if place in reads}
        made.append(
            Moment(
                int(row["step"]),
                str(row["action"]),
                places,
                list(range(places["sq_tail"], fills)),
                list(range(places["sq_head"], places["sq_tail"])),
                [read for read in range(places["sq_head"]) if read not in ended],
                results,
                _words(str(row["action"]), places, fills - 1, reads.get(seen - 1, 0)),
            )
        )
    return made


def _reads_by_completion(frame: pd.DataFrame) -> dict[int, int]:
    """Return place in the completion ring -> read: which one it was is known when the program looks at it."""
    reads: dict[int, int] = {}
    last: dict[int, int] = {}  # number of the request -> the read that it carries now
    fills = 0
    for action, request in zip(frame["action"], frame["request"], strict=True):
        if action == "fill":
            last[request] = fills
            fills += 1
        elif action == "seen":
            reads[len(reads)] = last[request]
    return reads


def _words(action: str, places: dict[str, int], filled: int, seen: int) -> str:
    waiting = places["cq_tail"] - places["cq_head"]
    return {
        "fill": f"read {filled} is filled in. The tail has not moved, so the kernel cannot see it.",
        "submit": f"the program moved the tail to {places['sq_tail']}; the kernel consumed the entries, "
        f"and moved the head to {places['sq_head']}.",
        "wait": f"{waiting} result{' is' if waiting == 1 else 's are'} between head and tail of the completion ring.",
        "seen": f"the program has looked at the result of read {seen}, and moved the head to {places['cq_head']}.",
    }[action]


def picture(moment: Moment, sq_entries: int, cq_entries: int) -> str:
    """Return one moment as SVG, with its words for readers who cannot see it."""
    at = moment.heads_and_tails
    submission = {read % sq_entries: (read, _FILLED) for read in moment.filled}
    submission |= {read % sq_entries: (read, _SHOWN) for read in moment.submitted}
    completion = {place % cq_entries: (read, _RESULT) for place, read in moment.results.items()}
    parts = [
        _ring(130, "submission ring", submission, sq_entries, at["sq_head"], at["sq_tail"]),
        _ring(_WIDTH - 130, "completion ring", completion, cq_entries, at["cq_head"], at["cq_tail"]),
        _kernel(moment.in_flight),
    ]
    words = escape(f"Step {moment.step}, {moment.action}: {moment.words}")
    return (
        f'<figure style="margin: 4px 0; {TEXT}"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{words}" '
        f'style="width: 100%; max-width: {_WIDTH}px; {TEXT} font-family: sans-serif;">{"".join(parts)}</svg>'
        f"<figcaption>{words}</figcaption></figure>"
    )


def ring_sizes(frame: pd.DataFrame) -> tuple[int, int]:
    """Return the entries of the submission and of the completion ring."""
    return int(frame["sq_entries"].iloc[0]), int(frame["cq_entries"].iloc[0])


def pictures(frame: pd.DataFrame) -> str:
    """Return the moments of the first round, and the last of all: shown where no kernel is connected."""
    shown = moments(frame)
    places = {"fill": 0, "submit": 0, "wait": 0, "seen": 0}
    for number, each in reversed(list(enumerate(shown))):
        places[each.action] = number
    chosen = sorted({*places.values(), max(places["submit"] - 1, 0), len(shown) - 1})
    sizes = ring_sizes(frame)
    drawn = "".join(picture(shown[number], *sizes) for number in chosen)
    grid = "display: grid; grid-template-columns: repeat(auto-fit, minmax(20em, 1fr)); gap: 4px 24px;"
    return f'{legend()}<div style="{grid}">{drawn}</div>'


def legend() -> str:
    """Return what the colours mean."""
    marks = "".join(
        f'<span style="white-space: nowrap; margin-right: 1.4em;"><span style="color: {colour};">■</span> {said}</span>'
        for colour, said in _LEGEND
    )
    return f'<div style="{TEXT}">{marks}</div>'


def _ring(middle: int, name: str, slots: dict[int, tuple[int, str]], entries: int, head: int, tail: int) -> str:
    top = 142
    drawn = []
    for place in range(entries):
        read, colour = slots.get(place, (-1, "transparent"))
        drawn.append(
            f'<path d="{_sector(middle, top, place, entries)}" fill="{colour}" stroke="currentColor" stroke-width="1"/>'
        )
        if read >= 0 and entries <= 32:
            x, y = _at(middle, top, (_OUTER + _INNER) / 2, place + 0.5, entries)
            drawn.append(_text(x, y + 4, str(read), colour="#ffffff" if colour != _FILLED else "#000000", bold=True))
    for word, number, radius, sign in (("head", head, _INNER - 8, -1), ("tail", tail, _OUTER + 8, 1)):
        x, y = _at(middle, top, radius, number % entries + 0.5, entries)
        x2, y2 = _at(middle, top, radius + 9 * sign, number % entries + 0.5, entries)
        drawn.append(
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor" stroke-width="3"/>'
        )
        if sign > 0:
            tx, ty = _at(middle, top, radius + 24, number % entries + 0.5, entries)
            drawn.append(_text(tx, ty + 4, word))
    drawn.append(_text(middle, 16, name, bold=True))
    drawn.append(_text(middle, top - 2, f"head {head}"))
    drawn.append(_text(middle, top + 14, f"tail {tail}"))
    return "".join(drawn)


def _kernel(in_flight: list[int]) -> str:
    left, top, wide, high = _WIDTH / 2 - 74, 92, 148, 100
    drawn = [
        _text(_WIDTH / 2, top - 12, "in the kernel", bold=True),
        f'<rect x="{left}" y="{top}" width="{wide}" height="{high}" rx="8" fill="none" stroke="currentColor" '
        'stroke-dasharray="5 4"/>',
    ]
    for number, read in enumerate(in_flight[:20]):
        x, y = left + 22 + 26 * (number % 5), top + 20.0 + 22 * (number // 5)
        drawn.append(f'<rect x="{x - 11}" y="{y - 11}" width="22" height="18" rx="3" fill="{_WORKED}"/>')
        drawn.append(_text(x, y + 3, str(read), colour="#000000", bold=True))
    for x, end in ((left - 42, left - 8), (left + wide + 8, left + wide + 42)):
        y = top + high / 2
        drawn.append(f'<path d="M{x} {y} H{end - 8} m0 -5 l8 5 l-8 5" fill="none" stroke="currentColor"/>')
    return "".join(drawn)


def _at(middle: float, top: float, radius: float, place: float, entries: int) -> tuple[float, float]:
    """Return a point on a ring; places count clockwise from the top."""
    angle = 2 * pi * place / entries - pi / 2
    return middle + radius * cos(angle), top + radius * sin(angle)


def _sector(middle: float, top: float, place: int, entries: int) -> str:
    if entries == 1:  # a whole ring, in two halves: an arc cannot end where it begins
        return " ".join(
            f"M{middle} {top - r} A{r} {r} 0 1 {turn} {middle} {top + r} A{r} {r} 0 1 {turn} {middle} {top - r}"
            for r, turn in ((_OUTER, 1), (_INNER, 0))
        )
    (ax, ay), (bx, by) = (_at(middle, top, _OUTER, place + i, entries) for i in (0, 1))
    (cx, cy), (dx, dy) = (_at(middle, top, _INNER, place + i, entries) for i in (1, 0))
    return (
        f"M{ax:.1f} {ay:.1f} A{_OUTER} {_OUTER} 0 0 1 {bx:.1f} {by:.1f} "
        f"L{cx:.1f} {cy:.1f} A{_INNER} {_INNER} 0 0 0 {dx:.1f} {dy:.1f} Z"
    )


def _text(x: float, y: float, said: str, *, colour: str = "currentColor", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" font-size="12" fill="{colour}"{weight}>{said}</text>'
