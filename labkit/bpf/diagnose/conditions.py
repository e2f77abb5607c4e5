# SPDX-License-Identifier: Apache-2.0
"""Conditions that C reads in another way than they look: the order of operators, chains, constants, falling through."""

from __future__ import annotations

import re

from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.said import Answer, Match, Said

__all__ = ["chained", "constant_operand", "falls_through", "not_first", "precedence"]

_NAME = r"[A-Za-z_][\w.]*(?:(?:->|\.)\w+)*"


def precedence(found: Match, code: Code, said: Said) -> Answer:
    line, operator = code.line(said.line), re.escape(found[1])
    parts = re.search(rf"({_NAME})\s*{operator}\s*(\w+)\s*([=!<>]=?)\s*(\w+)", line)
    what = f"{found[2]} is computed before {found[1]}"
    if parts is None:
        return what, f"put brackets around the part with {found[1]}"
    right = f"({parts[1]} {found[1]} {parts[2]}) {parts[3]} {parts[4]}"
    return what, f"write {right}", {said.line: line.replace(parts[0], right, 1)}


def not_first(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    parts = re.search(rf"!\s*({_NAME})\s*([&|^]|[<>=!]=?)\s*(\w+)", line)
    if parts is None:
        return "! belongs to what follows it alone", "put brackets around the whole"
    right = f"!({parts[1]} {parts[2]} {parts[3]})"
    return f"! belongs to {parts[1]} alone", f"write {right}", {said.line: line.replace(parts[0], right, 1)}


def chained(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    parts = re.search(rf"([\w.>-]+)\s*(<=?|>=?)\s*({_NAME})\s*(<=?|>=?)\s*([\w.>-]+)", line)
    if parts is None:
        return None
    one, first, name, second, other = parts.groups()
    right = f"{one} {first} {name} && {name} {second} {other}"
    what = f"C compares the result of {one} {first} {name}, which is 0 or 1, with {other}"
    return what, f"write {right}", {said.line: line.replace(parts[0], right, 1)}


def constant_operand(found: Match, code: Code, said: Said) -> Answer:
    line, operator = code.line(said.line), found[1]
    parts = re.search(rf"({_NAME})\s*==\s*(\w+)((?:\s*{re.escape(operator)}\s*\w+)+)(?=\s*\))", line)
    what = f"a number beside {operator} is true by itself: nothing is compared with it"
    if parts is None or operator != "||":
        return what, f"write the comparison on both sides of {operator}"
    values = [parts[2], *re.findall(r"\w+", parts[3])]
    right = " || ".join(f"{parts[1]} == {value}" for value in values)
    return what, f"write {right}", {said.line: line.replace(parts[0], right, 1)}


def falls_through(found: Match, code: Code, said: Said) -> Answer:
    """Answer a case of a switch without a break before the next one."""
    at = next((at for at in range(said.line - 1, 0, -1) if code.line(at).strip()), said.line)
    line = code.line(at)
    return f"the case above goes on into line {said.line}", f"end it with break; in line {at}", {at: f"{line} break;"}
