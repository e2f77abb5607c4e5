# SPDX-License-Identifier: Apache-2.0
"""Conditions that C reads in another way than they look: the order of operators, chains, constants, falling through."""

from __future__ import annotations

import re

from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.said import Answer, Match, Said

__all__ = [
    "assignment",
    "chained",
    "constant_operand",
    "falls_through",
    "mirrored",
    "named_only",
    "not_first",
    "not_inside",
    "outside",
    "overlapping",
    "precedence",
]

_NAME = r"[A-Za-z_][\w.]*(?:(?:->|\.)\w+)*"


def precedence(found: Match, code: Code, said: Said) -> Answer:
    line, operator = code.line(said.line), re.escape(found[1])
    parts = re.search(rf"({_NAME})\s*{operator}\s*(\w+)\s*([=!<>]=?)\s*(\w+)", line)
    what = f"{found[2]} is computed before {found[1]}"
    if parts is None:
        return what, f"put brackets around the part with {found[1]}"
    right = f"({parts[1]} {found[1]} {parts[2]}) {parts[3]} {parts[4]}"
    return what, f"write {right}", {said.line: line.replace(parts[0], right, 1)}


def assignment(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    if re.search(r"[^=!<>]=\s*!\s*\w", line) and "==" not in line:
        right = re.sub(r"(?<![=!<>])=\s*!", "!=", line, count=1)
        return "=! stores the opposite, != compares", f"write {right.strip()}", {said.line: right}
    right = re.sub(r"(?<![=!<>+\-*/&|^%])=(?!=)", "==", line, count=1)
    return "= stores, == compares", f"write {right.strip()}", {said.line: right}


def named_only(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    right = re.sub(rf"\b{found[1]}\b(?!\s*\()", f"{found[1]}()", line, count=1)
    what = f"{found[1]} is named here, not called: the condition is always true"
    return what, f"write {found[1]}()", {said.line: right}


def mirrored(found: Match, code: Code, said: Said) -> Answer:
    """Answer a comparison whose signs are in another order, or another language's."""
    line = code.line(said.line)
    sign = re.search(
        r"(?<=[\w)\]\s])(=>|=<|<>|!==|===)(?=[\s\w(-])", re.sub(r'"[^"]*"', lambda text: "_" * len(text[0]), line)
    )
    if sign is None:
        return None
    right = {"=>": ">=", "=<": "<=", "<>": "!=", "!==": "!=", "===": "=="}[sign[1]]
    edited = f"{line[: sign.start()]}{right}{line[sign.end() :]}"
    return f"C has no {sign[1]}", f"write {right}", {said.line: edited}


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


def not_inside(found: Match, code: Code, said: Said) -> Answer:
    """Answer a statement that is indented as if it were inside the if, else or loop above."""
    what = f"this line is indented as if it belonged to the {found[1]} above, and runs always"
    return what, f"put the lines of the {found[1]} into {{ and }}"


def outside(found: Match, code: Code, said: Said) -> Answer:
    """Answer a break below a loop whose body is one statement."""
    what = f"{found[1]} is in no loop here"
    for at in range(said.line - 1, code.function_at(said.line)[1], -1):
        text = code.line(at).rstrip()
        if re.match(r"\s*(?:for|while)\b.*\)$", text):
            what += f": the one of line {at} has only the statement that follows it"
            return what, f"put the lines of the loop into {{ and }}, and those of the if that decides about {found[1]}"
    return what, "take it away, or write return 0;"


def overlapping(found: Match, code: Code, said: Said) -> Answer:
    """Answer two comparisons of one thing that are never, or always, both true."""
    line, is_true = code.line(said.line), found[1] == "true"
    parts = re.search(rf"({_NAME})\s*([!=<>]=?)\s*(\w+)\s*({re.escape('||' if is_true else '&&')})\s*\1\s*[!=<>]", line)
    what = f"this condition is always {found[1]}"
    if parts is None:
        return what, "compare with a value that it can have"
    right = f"{line[: parts.start(4)]}{'&&' if is_true else '||'}{line[parts.end(4) :]}"
    return f"{what}, whatever {parts[1]} is", f"write {right.strip()}", {said.line: right}


def falls_through(found: Match, code: Code, said: Said) -> Answer:
    """Answer a case of a switch without a break before the next one."""
    at = next((at for at in range(said.line - 1, 0, -1) if code.line(at).strip()), said.line)
    line = code.line(at)
    return f"the case above goes on into line {said.line}", f"end it with break; in line {at}", {at: f"{line} break;"}
