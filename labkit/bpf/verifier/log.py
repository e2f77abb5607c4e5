# SPDX-License-Identifier: Apache-2.0
"""Read the log of the kernel's verifier: the path it walked, what it knew there, and what it said at the end.

The wording is that of kernels 5.10 to 6.18; the text comes from `kernel/bpf/verifier.c` and `log.c`:

    0: R1=ctx() R10=fp0                                      the state before the first instruction
    ; u32 key = 0; @ main.c:20                               a line of C (the place since 6.9)
    1: (63) *(u32 *)(r10 -4) = r1  ; R1_w=0 fp-8=0000????    an instruction, and what it changed (since 5.17)
    from 4 to 9: R0=0 R10=fp0                                another branch, with the whole state
     R0_w=inv0 R10=fp0                                       the whole state, here and there (5.10)
    R0 invalid mem access 'map_value_or_null'                the verdict
    processed 7 insns (limit 1000000) …                      the effort
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["CUT", "GIVEN_BACK", "Step", "Trace", "read"]

_MOST_STATES = 2000  # that are kept: each takes about a kilobyte

CUT = "(the log is cut here)"  # a line of the lab's own: kernels before 6.4 keep the head of a log that is too long

GIVEN_BACK = "given back"  # the state of a register whose memory was given back, which the log does not show
_GIVES_BACK = re.compile(r"call bpf_(?:ringbuf_submit|ringbuf_discard|sk_release)\w*#")

_STEP = re.compile(r"(\d{1,9}): \([0-9a-f]{2}\) ([^;]*?)\s*(?:;(.*))?$")
_STATE = re.compile(r"(?:(\d+):|from \d+ to \d+[^:]*:)(?= |$)(.*)$")
_OLD_STATE = re.compile(r"(?:frame\d+: )?(?=R\d+(?:_[a-z]+)?=).*\bR10=fp0\b")
# "expected prog array map for tail call" and a few others come without a line's end.
_RUN_ON = re.compile(
    r"(?<=[^\n])(processed \d+ insns|verification time \d+|"
    r"(?<= )(?:infinite loop detected at|\d+: R\d+=|from \d+ to \d+: ))"
)
_EFFORT = re.compile(r"processed (\d{1,18}) insns")
_ITEM = re.compile(r"(?<![^\s:])(R\d+|fp-\d+|refs)(?:_[a-z]+)?=")

# Lines that tell how the verifier works, not what it found.
_ASIDE = re.compile(
    r"verification time|stack depth|mark_precise|last_idx|parent |regs=|frame ?\d+: ?propagating|propagating|"
    r"func#\d+ @|Func#\d+|Validating |Live regs|caller:|callee:|returning from callee|to caller at|"
    r"(?:cur|old) state:|\d+: safe|from \d+ to \d+.*: safe|[+ ]*\d+: [.0-9]{10}|arg#\d+ reference type|"
    r"\(\d+\) frame|\(\d+\) live|reg type unsupported for arg|bpf_\w+ +is not|numa|BTF of func"
)


@dataclass(frozen=True)
class Step:
    """One instruction on the path that the verifier walked."""

    number: int
    text: str


@dataclass(frozen=True)
class Trace:
    """The last path of a log.

    Attributes
    ----------
    steps : the instructions, in the order walked; the last is where the verifier stopped.
    said : its last lines in words, such as "R0 invalid mem access 'scalar'".
    before, after : what it knew before and after the last instruction: "R0" or "fp-8" -> the log's own notation.
    states : what it knew before each of the last steps, the last one included.
    processed : instructions walked, on all paths together.
    cut : whether the end of the path is missing; then the last step is not where the verifier stopped.
    """

    steps: list[Step] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    states: Sequence[dict[str, str]] = ()
    processed: int | None = None
    cut: bool = False

    @property
    def last(self) -> Step | None:
        return self.steps[-1] if self.steps else None


def read(log: str) -> Trace:
    """Read a log. A line that is not understood is kept in `said`; nothing is thrown away silently but asides."""
    steps: list[Step] = []
    said: list[str] = []
    state: dict[str, str] = {}
    before: dict[str, str] = {}
    states: deque[dict[str, str]] = deque(maxlen=_MOST_STATES)
    processed, cut = None, False
    for line in (raw.strip() for raw in _RUN_ON.sub(r"\n\1", log).splitlines()):
        if not line or line.startswith(";") or _ASIDE.match(line):
            continue
        if step := _STEP.match(line):
            before = dict(state)
            states.append(before)
            steps.append(Step(int(step[1]), step[2].strip()))
            said = []
            _follow(step[2], state, items(step[3] or ""))
        elif line == CUT:
            cut = True
            said = []  # half a line
        elif effort := _EFFORT.match(line):
            processed = int(effort[1])
        elif (whole := _STATE.match(line)) and (items(whole[2]) or not whole[2].strip()):
            if line.startswith("from"):
                state.clear()
            state.update(items(whole[2]))
        elif _OLD_STATE.match(line):
            state = items(line)
        else:
            said.append(line)
    return Trace(steps, list(dict.fromkeys(said)), before, state, tuple(states), processed, cut)


def _follow(instruction: str, state: dict[str, str], changed: dict[str, str]) -> None:
    """Bring the state up to date after one instruction.

    The log shows what an instruction changes (kernels before 5.17 do not), but not all that follows from it: whatever
    has the same id changes with it. What is in doubt is forgotten, so that nothing wrong is reported.
    """
    if instruction.startswith("call"):
        _give_back(instruction, state)
        for register in range(6):  # R0 is the result; R1 to R5 are lost by the calling convention
            state.pop(f"R{register}", None)
    elif instruction.startswith("if "):
        for name, new in changed.items():
            old = state.get(name, "")
            if (shared := re.search(r"\bid=\d+", old)) and new != old:
                for other in [each for each, known in state.items() if shared[0] in _parts(known)]:
                    if state[other] == old:
                        state[other] = new
                    else:
                        del state[other]
    elif copy := re.match(r"r(\d+) = r(\d+)$", instruction):
        known = state.get(f"R{copy[2]}", "")
        if known == GIVEN_BACK:
            changed = {**changed, f"R{copy[1]}": GIVEN_BACK, f"R{copy[2]}": GIVEN_BACK}
        elif known:
            changed = {f"R{copy[1]}": known, **changed}
    elif number := re.match(r"r(\d+) = (\d+)$", instruction):
        changed = {f"R{number[1]}": number[2], **changed}
    if written := re.match(r"[rw](\d+) \S*= ", instruction):
        state.pop(f"R{written[1]}", None)
    state.update(changed)


def _give_back(call: str, state: dict[str, str]) -> None:
    """Mark what a call gives back: the log does not show that the other pointers to it are dead."""
    if _GIVES_BACK.match(call) and (taken := re.search(r"ref_obj_id=\d+", state.get("R1", ""))):
        for name in [name for name, known in state.items() if taken[0] in _parts(known)]:
            state[name] = GIVEN_BACK


def _parts(known: str) -> list[str]:
    return re.split(r"[(,)]", known)


def items(text: str) -> dict[str, str]:
    """Split "R0=map_value(off=0,ks=4) R10=fp0 fp-8=mmmm????" into its registers and stack slots."""
    found: dict[str, str] = {}
    end = len(text)
    for item in reversed(list(_ITEM.finditer(text))):
        found[item[1]] = text[item.end() : end].strip()
        end = item.start()
    return found
