# SPDX-License-Identifier: Apache-2.0
"""Turn a rejection by the kernel's verifier into what a learner can read: where, what, why, and the usual fix.

It reads the log; it knows no program. What it does not know it shows as the kernel said it, with the source line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from labkit.bpf.diagnose import ends, loops, refused, stack, written
from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.finding import Finding, excerpt
from labkit.bpf.rehearse import rehearse
from labkit.bpf.text import Source
from labkit.bpf.verifier import log as verifier_log
from labkit.bpf.verifier import notation
from labkit.bpf.verifier.candidates import repairs
from labkit.bpf.verifier.evidence import examine
from labkit.bpf.verifier.log import Trace
from labkit.bpf.verifier.numberline import numberline
from labkit.bpf.verifier.places import Place, debug_output, place_in_rewritten, without_line_directives
from labkit.bpf.verifier.repair import Repair, passes
from labkit.bpf.verifier.rules import BY_NAME, RULES, Rule
from labkit.errors import CompileError, VerifierError

__all__ = ["ACCEPTED", "Verdict", "diagnose", "explain", "judge", "refused_by_clang"]

ACCEPTED = "accepted"

_WITHOUT_REGISTERS = ("licence", "loop")  # where no register decides
_BCC_WRAPPERS = "/virtual/include/bcc/helpers.h"


@dataclass(frozen=True)
class Verdict:
    """What became of a program, in plain words.

    Attributes
    ----------
    headline : one line: where, and what is wrong.
    fix : one line: the usual fix.
    detail : the source line with a caret, the instruction, what the verifier knew and what it needed.
    line, column : in the learner's file, from 1; None where unknown.
    kind : "accepted", or the family: "null", "bounds", "stack", "context", "leak", "loop", "reference", … or "unknown".
    said : the kernel's own words.
    processed : instructions that the verifier walked through, on all paths; None where it did not say.
    log : the raw log.
    verified : whether the fix was tried on a copy of the program, and the kernel accepted it.
    lines : from which line of the learner's file an instruction of the log came: number -> line.
    """

    headline: str
    fix: str
    detail: str
    line: int | None
    column: int | None
    kind: str
    said: str
    processed: int | None
    log: str
    verified: bool = False
    lines: Mapping[int, int] = field(default_factory=dict)

    def error(self) -> VerifierError:
        """Return the error that says the same."""
        error = VerifierError(self.headline, self.fix, self.detail, log=self.log, verified=self.verified)
        error.lines = self.lines
        return error


def judge(source: Source, function: str, kind: int) -> Verdict:
    """Compile a program of unknown origin and return what clang and the verifier say of one function in it.

    Parameters are those of `diagnose`. Raises CompileError where clang finds an error in the C.
    """
    return refused_by_clang(source) or diagnose(source, function, kind)


def refused_by_clang(source: Source, kind: int = 0) -> Verdict | None:
    """Return a verdict if clang would end this process over a program (see `labkit.bpf.rehearse`), else None.

    `kind` is the type of functions whose names do not say what they are; fixes are tried with it.
    """
    text, path, name = source.text, source.path, source.path.name
    code = Code(path.read_text(encoding="utf-8"))
    if mistake := written.first_mistake(code):
        return _of_finding(mistake, code, source, kind)
    try:
        if (said := rehearse(without_line_directives(text), source.cflags)) is None:
            return None
    except CompileError as stopped:
        return _of_finding(loops.stopped(code, stopped), code, source, kind)
    error = re.search(r"^error: \S+?:(\d+):\d+: in function (\w+) .*?: (.*)$", said, re.MULTILINE)
    line, function, words = (int(error[1]), error[2], error[3]) if error else (0, "", said.strip()[-300:])
    if error is None and (fatal := re.search(r"^(?:Error at line (\d+): |LLVM ERROR: )(.*)$", said, re.MULTILINE)):
        line, words = int(fatal[1] or 0), fatal[2]
    ended = ends.how_it_ended(words, code) if "stack limit" not in words else None
    place = place_in_rewritten(text, said, line, function)
    place = place if place and place.file == str(path) else None
    if ended and ended[1]:
        place = Place(str(path), ended[1], 0)
    rule = BY_NAME["TOO_LARGE_STACK"] if "stack limit" in words else None
    if rule and (large := stack.largest(code, place.line if place else 0)):
        place, words = Place(str(path), large.line, 0), f"{large.name} alone has {large.size} bytes. {words}"
    what, fix = (rule.means, rule.fix) if rule else ("clang ended without a result", "read clang's words below")
    what, fix = (ended[0].means, ended[0].fix) if ended else (what, fix)
    proof = ""
    for changed in _changes(code, ended[0] if ended else None, place):
        repair = Repair("", *changed)
        proof = repair.proof(code) if passes(repair, source, kind=kind) else ""
        fix = changed[0] if proof or ended else fix
        if proof:
            break
    detail = [excerpt(code.text, place.line, place.column, name)] if place else []
    detail += _rows([("It needed", rule.needs)] if rule else [])
    detail += _rows([("Clang's words", words)]) + ([proof] if proof else [])
    return Verdict(
        headline=f"{_at(name, place)}: {what}.",
        fix=fix,
        detail="\n".join(detail),
        line=place.line if place else None,
        column=None,
        kind=rule.kind if rule else "clang" if ended else "unknown",
        said=words,
        processed=None,
        log=debug_output(said)[0],
        verified=bool(proof),
    )


def _changes(code: Code, ended: ends.End | None, place: Place | None) -> Iterator[tuple[str, dict[int, str]]]:
    """Yield what to change where clang ended: the fix of its kind, or without one, variables moved off the stack."""
    tried = () if place is None else [ended.edit(code, place.line)] if ended else stack.in_a_map(code, place.line)
    yield from (each for each in tried if each)


def _of_finding(found: Finding, code: Code, source: Source, kind: int) -> Verdict:
    """Return the verdict of a mistake that was found before the verifier saw the program."""
    name, repair = source.path.name, Repair("", found.fix, found.edits)
    verified = bool(found.edits) and passes(repair, source, kind=kind)
    detail = "\n".join([found.detail(code.text, name), *([repair.proof(code)] if verified else [])])
    column = found.column or None
    return Verdict(
        found.headline(name), found.fix, detail, found.line, column, "written", found.words, None, "", verified
    )


def diagnose(source: Source, function: str, kind: int, warned: str = "", refused_as: str = "") -> Verdict:
    """Return what the verifier says of a function that BCC compiled, explained.

    Parameters
    ----------
    source : the program.
    function : the function.
    kind : its program type, such as `bcc.BPF.KPROBE`.
    warned : what clang printed when it compiled the program; a warning may be the cause.
    refused_as : what the verifier said when it refused the function, if it has.
    """
    evidence = examine(source, function, kind, refused_as)
    if evidence.accepted:
        processed = verifier_log.read(evidence.log).processed
        walked = f"; the verifier walked through {processed} instructions" if processed is not None else ""
        headline = f"{source.path.name}: accepted{walked}."
        return Verdict(headline, "nothing to fix", headline, None, None, ACCEPTED, "", processed, evidence.log)
    text, path = source.path.read_text(encoding="utf-8"), source.path
    verdict = explain(evidence.log, text, str(path), evidence.places)
    verdict = replace(verdict, lines=evidence.lines(path))
    cause = refused.cause(warned, str(path), Code(text), verdict.kind, verdict.line, verdict.said)
    if cause is None:
        return _repaired(verdict, source, Code(text), function, kind)
    if not cause.column and cause.line == verdict.line and verdict.column:
        cause = replace(cause, column=verdict.column)
    repair = Repair("", cause.fix, cause.edits)
    verified = bool(cause.edits) and passes(repair, source, function, kind)
    parts = [cause.detail(text, path.name), *_rows([("The kernel's words", verdict.said)])]
    parts += [repair.proof(Code(text))] if verified else []
    detail = "\n".join(filter(None, parts))
    return replace(
        verdict,
        headline=cause.headline(path.name),
        fix=cause.fix,
        detail=detail,
        line=cause.line,
        column=cause.column or None,
        verified=verified,
    )


def explain(
    log: str, source: str | None = None, path: str | None = None, places: Mapping[int, Place] | None = None
) -> Verdict:
    """Explain a log.

    Parameters
    ----------
    log : what the verifier printed, at log level 1.
    source, path : the learner's C file; without them no line is shown.
    places : instruction number -> place, of `labkit.bpf.verifier.evidence.examine`.
    """
    trace = verifier_log.read(log)
    rule, found, said = _rule_for(trace)
    if trace.cut and (rule is None or rule.kind != "loop"):  # a loop is where the cut is, too
        trace = replace(trace, steps=[], before={})
    if rule:
        rule = _lost_pointer(trace, said) or rule
    number = _instruction_at_fault(trace, found)
    place = _place(trace, number, places or {}, path)
    words = _words(trace, found, number)
    what = rule.means.format_map(words) if rule else f"the verifier said: {said or 'nothing'}"
    fix = rule.fix.format_map(words) if rule else "read the log below: the lab has no plainer words for this one"
    needed = rule.needs.format_map(words) if rule else ""
    name = Path(path).name if path else "the program"
    last = _place(trace, trace.last.number, places or {}, path) if trace.last else None
    knew = _knew(trace, words) if rule is None or rule.kind not in _WITHOUT_REGISTERS else []
    return Verdict(
        headline=f"{_at(name, place)}: {what}.",
        fix=fix,
        detail=_detail(trace, place, last, source, name, words, knew, needed),
        line=place.line if place else None,
        column=(place.column or None) if place else None,
        kind=rule.kind if rule else "unknown",
        said=said,
        processed=trace.processed,
        log=log,
    )


def _repaired(verdict: Verdict, source: Source, code: Code, function: str, kind: int) -> Verdict:
    """Return the verdict with a repair that was verified, if there is one."""
    calls = re.search(r"^(?:The instruction) +calls (\w+)", verdict.detail, re.MULTILINE)
    helper = calls[1] if calls else ""
    for each in repairs(code, verdict.kind, verdict.line, verdict.said, helper):
        if passes(each, source, function, kind):
            weak = _rows([("The weak test", text) for text in each.underlined(code)])
            detail = "\n".join([verdict.detail, *weak, each.proof(code)])
            at = Place(str(source.path), verdict.line, 0) if verdict.line else None
            headline = f"{_at(source.path.name, at)}: {each.what}." if each.what else verdict.headline
            return replace(verdict, headline=headline, fix=each.fix, detail=detail, verified=True)
    return verdict


_ACCESS = re.compile(r"(?:value|mem|key)_size=(\d+) off=(-?\d+) size=(\d+)")


class _Words(dict[str, str]):
    """The words for a rule's texts; a part that a kernel's wording lacks reads as its name."""

    def __missing__(self, key: str) -> str:
        return f"<{key}>"


def _rule_for(trace: Trace) -> tuple[Rule | None, re.Match[str] | None, str]:
    """Return the first rule that fits one of the verifier's last lines, in the order of the rules."""
    for rule in RULES:
        for line in trace.said:
            if found := rule.match(line):
                return rule, found, line
    return None, None, trace.said[0] if trace.said else ""


def _lost_pointer(trace: Trace, said: str) -> Rule | None:
    """Return the rule for "R1 is a number" of a register that held a pointer before, if it is so."""
    number = re.match(r"R(\d+) (?:invalid mem access '|type=)(?:scalar|inv)\b", said)
    known = trace.before.get(f"R{number[1]}", "") if number else ""
    if known == verifier_log.GIVEN_BACK:
        return BY_NAME["GIVEN_BACK"]
    if known and not notation.is_number(known):
        return BY_NAME["INVALID_NOW"]
    return BY_NAME["NULL_HERE"] if re.fullmatch(r"(?:inv)?P?0", known) and "type=" not in said else None


def _instruction_at_fault(trace: Trace, found: re.Match[str] | None) -> int | None:
    """Return the instruction that the words name, else the one where the verifier stopped."""
    named = found.groupdict().get("insn") if found else None
    return int(named) if named else trace.last.number if trace.last else None


def _place(trace: Trace, number: int | None, places: Mapping[int, Place], path: str | None) -> Place | None:
    """Return the place of an instruction in the learner's file.

    BCC's wrapper of a helper counts as the line that calls it. An instruction of another header has a place only
    where the same line stands before and after it.
    """
    if number is None or path is None:
        return None
    here = places.get(number)
    if here is not None and here.file == path:
        return here
    own = {each: place for each, place in places.items() if place.file == path}
    walked = [step.number for step in trace.steps] or sorted(own)
    if number in walked:
        walked = walked[: len(walked) - walked[::-1].index(number)]
    before = next((own[each] for each in reversed(walked) if each in own), None)
    after = next((own[each] for each in sorted(own) if each > number), None)
    wrapper = here is None or here.file == _BCC_WRAPPERS
    return before if wrapper or (before and after and before.line == after.line) else None


def _words(trace: Trace, found: re.Match[str] | None, number: int | None) -> _Words:
    text = trace.last.text if trace.last else ""
    helper = notation.helper(next((step.text for step in trace.steps if step.number == number), text))
    said = _Words(does=notation.instruction(text), helper=helper or "the call")
    said.update({key: value for key, value in (found.groupdict() if found else {}).items() if value is not None})
    register = said.get("reg", "")
    said["argument"] = notation.argument(int(register)) if register else "an argument"
    known = trace.before.get(f"R{register}", "")
    part = "address" if known and not notation.is_number(known) else "size"
    said["subject"] = f"the {part} that {helper} gets" if helper else "an index or an offset"
    worst = next((at for line in trace.said if (at := _ACCESS.search(line))), None)
    said["worst"] = f"; at worst, this is {worst[3]} bytes from byte {worst[2]} on, of {worst[1]}" if worst else ""
    said["expected_words"] = notation.expected(said.get("expected", ""))
    touched = notation.access(text)
    if touched and touched[0] == "reads":
        said["context"] = "the context has no field here that this kind of program may read"
        said["context_fix"] = "read a field that this kind of program has, by its name"
    else:
        said["context"] = "the program writes to its context"
        said["context_fix"] = "read a field of the context by its name, and copy it to a variable to change it"
    return said


def _detail(
    trace: Trace,
    place: Place | None,
    last: Place | None,
    source: str | None,
    name: str,
    words: _Words,
    knew: list[str],
    needed: str,
) -> str:
    rows = []
    if trace.last:
        where = f", in line {last.line}" if last and place and last.line != place.line else ""
        rows.append(("The instruction", f"{words['does']}{where}"))
        rows.append(("The instruction", f"(in the log: {trace.last.number}: {trace.last.text})"))
    rows += [("The verifier knew", each) for each in knew]
    if needed:
        rows.append(("It needed", needed))
    rows += [("In bytes", each) for each in _ranges(trace)]
    rows += [("The kernel's words", line) for line in trace.said]
    told = [excerpt(source, place.line, place.column, name)] if place and source else []
    return "\n".join(told + _rows(rows))


def _ranges(trace: Trace) -> list[str]:
    """Draw where the last access may begin next to where it may begin as far as the verifier knows."""
    if trace.last and (added := re.match(r"r(\d+) \+= r(\d+)$", trace.last.text)):
        room = re.search(r"\b(?:vs|sz|mem_size)=(\d+)", trace.before.get(f"R{added[1]}", ""))
        by = notation.span(trace.before.get(f"R{added[2]}", ""))
        return numberline((0, int(room[1])), by) if room and by else []
    touched = notation.access(trace.last.text) if trace.last else None
    known = notation.reach(trace.before.get(touched[2], "")) if touched else None
    if touched is None or known is None:
        return []
    _, size, _, offset = touched
    first, last, memory = known
    return numberline((0, memory - size), (first + offset, last + offset)) if size <= memory else []


def _rows(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Lay out heads and texts; a head that comes again is left out."""
    heads = ["", *(head for head, _ in rows)]
    return [f"{head if head != above else '':<19} {text}" for above, (head, text) in zip(heads, rows, strict=False)]


def _at(name: str, place: Place | None) -> str:
    return f"{name}:{place.line}" if place else name


def _knew(trace: Trace, words: _Words) -> list[str]:
    """Say what was known of the registers that matter: the one named, and those of the instruction."""
    text = trace.last.text if trace.last else ""
    named = words.get("reg") or next((found[1] for line in trace.said if (found := re.match(r"R(\d+) ", line))), "")
    names = [f"R{named}"] if named else []
    if notation.helper(text):  # a pointer's size is the argument after it
        names += [f"R{int(named) + 1}"] if named and words["worst"] else []
    elif "!read_ok" not in "".join(trace.said):
        names += notation.operands(text)
    told = []
    for name in dict.fromkeys(names):
        known = trace.before.get(name)
        if known == verifier_log.GIVEN_BACK:
            told.append(f"{name} pointed to what was given back before")
        elif known and name != "R10":
            told += [f"{name} is {notation.value(known)}", f"(in the log: {name}={known})"]
        elif known is None and f"{name} !read_ok" in trace.said:
            told.append(f"{name} was never set on this path")
    return told
