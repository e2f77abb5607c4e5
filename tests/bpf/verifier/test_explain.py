# SPDX-License-Identifier: Apache-2.0
"""Each file in `rejected/` is refused for the cause it states, at the line it marks; the kernel is the witness.

The first comment of such a file says the kind of the verdict and the program type, "untrusted" where the loader has
CAP_BPF alone, and "since 6.1" where an older kernel was seen to accept it. `/* rejected here */` marks the line;
several lines where a loop is refused as a whole; none where the kernel names no instruction.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running_kernel import since

from labkit.bpf import bcc
from labkit.bpf.load import try_load
from labkit.bpf.privilege import less_trusted
from labkit.bpf.rehearse import rehearse
from labkit.bpf.text import BPF_FOLDER, Source
from labkit.bpf.verifier import explain, notation, rules
from labkit.bpf.verifier import log as verifier_log
from labkit.bpf.verifier.places import Place, places_of
from labkit.errors import CompileError
from labkit.machine.bcc import load_bcc

MARK = "/* rejected here */"
REJECTED = sorted(Path(__file__).with_name("rejected").glob("*.c"))


@dataclass(frozen=True)
class Case:
    path: Path
    kind: str
    program_type: str
    untrusted: bool
    first: str
    lines: list[int]

    @property
    def function(self) -> str:
        return "tracepoint__raw_syscalls__sys_enter" if "TRACEPOINT_PROBE" in self.path.read_text() else "rejected"


def case(path: Path) -> Case:
    text = path.read_text()
    head = re.match(r"/\* kind: (\S+) \| type: (\w+)( \| untrusted)?(?: \| since ([\d.]+))?", text)
    assert head, f"{path.name} lacks its first comment"
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if MARK in line]
    return Case(path, head[1], head[2], bool(head[3]), head[4] or "5.10", lines)


def judged(
    path: Path, function: str, program_type: str, *, flags: tuple[str, ...] = (), text: str = ""
) -> explain.Verdict:
    source = Source.of(path, {})
    source = replace(source, text=text or source.text, cflags=(*source.cflags, *flags))
    return explain.diagnose(source, function, bcc.program_type(program_type))


def written(folder: Path, text: str, name: str = "learner.c") -> Path:
    path = folder / name
    path.write_text(text)
    return path


# -- the rejected programs -----------------------------------------------------------------------


def test_the_programs_are_many_and_of_every_cause() -> None:
    cases = [case(path) for path in REJECTED]
    assert len(cases) >= 40
    assert {each.path.stem.split("_")[0] for each in cases} >= {
        "map",
        "context",
        "stack",
        "helper",
        "loop",
        "reference",
        "licence",
        "pointer",
    }


@pytest.mark.bpf
@pytest.mark.parametrize("path", REJECTED, ids=lambda path: path.stem)
def test_a_rejection_names_its_cause_and_the_marked_line(path: Path) -> None:
    each = case(path)
    with less_trusted() if each.untrusted else contextlib.nullcontext():
        told = judged(path, each.function, each.program_type)
    if not since(each.first) and told.kind == explain.ACCEPTED:
        pytest.skip(f"Linux {os.uname().release} accepts this")
    assert told.kind == each.kind, told.detail
    assert told.line in (each.lines or [None]), told.detail
    at = f"{path.name}:{told.line}: " if told.line else f"{path.name}: "
    assert told.headline.startswith(at) and told.headline.count("\n") == 0
    assert told.fix and told.fix.count("\n") == 0
    assert told.said and told.said in told.log and told.said in told.detail
    assert "<" not in told.headline.removeprefix(at), "a rule's text names a part that its pattern lacks"
    if told.line and told.column:
        assert told.column <= len(path.read_text().splitlines()[told.line - 1])


# -- lines ---------------------------------------------------------------------------------------

BROKEN_LATE = """#include <uapi/linux/ptrace.h>
BPF_HASH(start, u32, u64);
BPF_RINGBUF_OUTPUT(events, 8);

static int twice(u32 key)
{
	u64 *value = start.lookup(&key);
	return value ? *value * 2 : 0;
}

int other(struct pt_regs *ctx, int first,
		int second)
{
	bpf_trace_printk("%d %d",
		first,
		twice(second));
	return 0;
}

int probe(struct pt_regs *ctx)
{
	u32 key = 1;
	u64 *value;

	events.ringbuf_output(
		&key,
		sizeof(key),
		0);
	start.increment(key);
	start.increment(key);
	value = start.lookup(&key);
	*value += twice(3);
	return 0;
}
"""


@pytest.mark.bpf
def test_the_line_is_right_after_calls_that_bcc_joins_into_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, BROKEN_LATE)
    told = judged(path, "probe", "KPROBE")
    assert (told.kind, told.line) == ("null", BROKEN_LATE.splitlines().index("\t*value += twice(3);") + 1)


@pytest.mark.bpf
def test_the_line_is_the_learners_where_a_header_is_part_of_the_text(tmp_path: Path) -> None:
    path = written(tmp_path, BROKEN_LATE)
    header = f'#line 1 "{BPF_FOLDER / "labkit.h"}"\n' + (BPF_FOLDER / "labkit.h").read_text()
    told = judged(path, "probe", "KPROBE", text=f'{header}\n#line 1 "{path}"\n{BROKEN_LATE}')
    assert told.line == BROKEN_LATE.splitlines().index("\t*value += twice(3);") + 1


@pytest.mark.bpf
def test_the_column_is_of_the_learners_line_not_of_the_rewritten_one(tmp_path: Path) -> None:
    line = "\tu64 first = 0, *value = start.lookup((u32 *)PT_REGS_PARM1(ctx));"
    before = "#include <uapi/linux/ptrace.h>\nBPF_HASH(start, u32, u64);\nint probe(struct pt_regs *ctx)\n{\n"
    path = written(tmp_path, f"{before}{line}\n\treturn value ? 1 : 0;\n}}\n")
    told = judged(path, "probe", "KPROBE")
    assert (told.kind, told.line, told.column) == ("type", 5, line.index("start.lookup") + 1)


@pytest.mark.bpf
def test_an_instruction_of_a_header_has_no_line_of_the_learners(tmp_path: Path) -> None:
    written(tmp_path, "static inline int reach(u64 address)\n{\n\treturn *(volatile int *)address;\n}\n", "reach.h")
    body = "int probe(struct pt_regs *ctx)\n{\n\tu64 a = PT_REGS_PARM1(ctx);\n\ta += 1;\n\treturn reach(a);\n}\n"
    text = f'#include <uapi/linux/ptrace.h>\n#include "reach.h"\n{body}'
    path = written(tmp_path, text)
    told = judged(path, "probe", "KPROBE", flags=(f"-I{tmp_path}",))
    assert told.kind == "pointer"
    assert told.line in (None, 7)


@pytest.mark.bpf
def test_the_line_is_right_where_the_kernel_refuses_the_debug_information(tmp_path: Path) -> None:
    # An undefined function with variable arguments in a header makes BTF that the kernel does not take.
    written(tmp_path, 'static inline void tell(int x)\n{\n\tbpf_trace_printk("%d", x);\n}\n', "tell.h")
    text = BROKEN_LATE.replace("#include <uapi", '#include "tell.h"\n#include <uapi').replace(
        "\treturn 0;\n}\n\nint probe", "\ttell(first);\n\treturn 0;\n}\n\nint probe"
    )
    path = written(tmp_path, text)
    told = judged(path, "probe", "KPROBE", flags=(f"-I{tmp_path}",))
    assert told.line == text.splitlines().index("\t*value += twice(3);") + 1


def test_without_a_line_table_there_are_no_places() -> None:
    assert places_of([], "int x;\n", "int x;\n") == {}


# -- what is not a rejection by the verifier -----------------------------------------------------


@pytest.mark.bpf
def test_an_accepted_program_is_called_accepted(tmp_path: Path) -> None:
    path = written(tmp_path, "int probe(void *ctx)\n{\n\treturn 0;\n}\n")
    told = judged(path, "probe", "KPROBE")
    assert told.kind == explain.ACCEPTED
    assert told.processed == 2


@pytest.mark.bpf
def test_a_stack_that_clang_refuses_does_not_end_this_process(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "int small(void *ctx)\n{\n\treturn 0;\n}\n\nint large(void *ctx)\n{\n\tchar text[600];\n\n"
        "\tbpf_get_current_comm(text, sizeof(text));\n\treturn text[100];\n}\n",
    )
    told = explain.judge(Source.of(path, {}), "large", bcc.program_type("KPROBE"))
    assert told.kind == "stack"
    assert told.line == 8
    assert "512 bytes" in told.detail


@pytest.mark.bpf
def test_c_that_is_not_c_is_a_compile_error_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "int probe(void *ctx)\n{\n\treturn nothing;\n}\n")
    with pytest.raises(CompileError, match="nothing"):
        judged(path, "probe", "KPROBE")


@pytest.mark.bpf
def test_a_rehearsal_tells_apart_who_comes_back() -> None:
    load_bcc()
    assert rehearse("int probe(void *ctx) { return 0; }", []) is None
    assert rehearse("this is no C", []) is None
    assert "stack limit" in (
        rehearse("int f(void *c) { char t[600]; bpf_get_current_comm(t, 600); return t[9]; }", []) or ""
    )


@pytest.mark.bpf
def test_a_rehearsal_finds_the_headers_in_a_fresh_process() -> None:
    code = (
        "from labkit.bpf.rehearse import rehearse\n"
        "print(rehearse('int f(void *c) { char t[600]; bpf_get_current_comm(t, 600); return t[9]; }', []))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "BCC_KERNEL_SOURCE"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "stack limit" in ran.stdout


# -- loading -------------------------------------------------------------------------------------


@pytest.fixture
def quiet_descriptors(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr() == ("", "")


@pytest.mark.bpf
@pytest.mark.usefixtures("quiet_descriptors")
def test_loading_prints_nothing_and_keeps_no_descriptor_of_a_refused_program() -> None:
    module = load_bcc().BPF(text=b"int good(void *ctx) { return 0; }\nint bad(void *ctx) { return *(int *)8; }\n")
    kind = load_bcc().BPF.KPROBE
    try:
        before = os.listdir("/proc/self/fd")
        good, error, _ = try_load(module, "good", kind)
        assert good >= 0
        os.close(good)
        bad, error, said = try_load(module, "bad", kind)
        assert bad < 0 and os.strerror(error) == "Permission denied"
        assert "invalid mem access" in said
        assert os.listdir("/proc/self/fd") == before
    finally:
        module.cleanup()


@pytest.mark.bpf
@pytest.mark.usefixtures("quiet_descriptors")
def test_a_judgement_keeps_no_descriptor(tmp_path: Path) -> None:
    path = written(tmp_path, BROKEN_LATE)
    judged(path, "probe", "KPROBE")
    before = os.listdir("/proc/self/fd")
    judged(path, "probe", "KPROBE")
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.bpf
def test_trust_comes_back() -> None:
    def effective() -> str:
        status = Path("/proc/thread-self/status").read_text()
        return next(line for line in status.splitlines() if line.startswith("CapEff"))

    before = effective()
    with less_trusted():
        assert effective() != before
    assert effective() == before


# -- reading logs --------------------------------------------------------------------------------

UNKNOWN = """0: R1=ctx() R10=fp0
0: (b7) r1 = 0                        ; R1=0
1: (85) call bpf_moon_phase#999
the moon is in the wrong phase
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""


def test_what_is_not_known_is_shown_as_the_kernel_said_it() -> None:
    told = explain.explain(UNKNOWN, "one\ntwo\nthree\n", "moon.c", {0: Place("moon.c", 1, 1), 1: Place("moon.c", 2, 2)})
    assert told.kind == "unknown"
    assert told.headline == "moon.c:2: the verifier said: the moon is in the wrong phase."
    assert (told.line, told.column) == (2, 2)
    assert "the moon is in the wrong phase" in told.detail
    assert "It needed" not in told.detail


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=400))
def test_no_log_breaks_the_reader(log: str) -> None:
    told = explain.explain(log, "int x;\n", "x.c", {0: Place("x.c", 1, 1)})
    assert told.headline


@pytest.mark.parametrize(
    ("said", "kind", "line"),
    [
        ("R0 invalid mem access 'map_value_or_null'", "null", None),
        ("BPF program is too large. Processed 1000001 insn", "loop", 3),
    ],
)
def test_a_path_that_is_cut_names_no_line_but_a_loops(said: str, kind: str, line: int | None) -> None:
    log = f"0: (b7) r1 = 7\n1: (07) r1 += 1\n2: (55) if r1 !\n{verifier_log.CUT}\n{said}\nprocessed 3 insns\n"
    places = {number: Place("moon.c", number + 1, 1) for number in range(4)}
    told = explain.explain(log, "one\ntwo\nthree\nfour\n", "moon.c", places)
    assert (told.kind, told.line, told.said) == (kind, line, said)


@given(st.sampled_from([line for path in REJECTED for line in path.read_text().splitlines()]), st.integers(0, 80))
def test_a_log_cut_anywhere_is_read(text: str, cut: int) -> None:
    explain.explain(f"{UNKNOWN}; {text}\n"[: len(UNKNOWN) - cut], None, None, None)


RECORD = """0: R1=ctx() R10=fp0
1: (85) call bpf_ringbuf_reserve#131   ; R0=ringbuf_mem_or_null(id=2,ref_obj_id=2,sz=16) refs=2
2: (bf) r6 = r0      ; R0=ringbuf_mem_or_null(id=2,ref_obj_id=2,sz=16) R6=ringbuf_mem_or_null(id=2,ref_obj_id=2,sz=16)
3: (15) if r0 == 0x0 goto pc+9         ; R0=ringbuf_mem(ref_obj_id=2,sz=16) refs=2
4: (bf) r1 = r0      ; R0=ringbuf_mem(ref_obj_id=2,sz=16) R1=ringbuf_mem(ref_obj_id=2,sz=16) refs=2
5: (b7) r2 = 0                         ; R2=0 refs=2
6: (85) call bpf_ringbuf_submit#132    ; R0=scalar()
7: (7b) *(u64 *)(r6 +0) = r0
R6 invalid mem access 'scalar'
"""


def test_the_state_follows_what_the_log_leaves_unsaid() -> None:
    trace = verifier_log.read(RECORD)
    assert trace.before["R6"] == verifier_log.GIVEN_BACK
    assert "R2" not in trace.before, "a call loses R1 to R5"
    assert explain.explain(RECORD).kind == "reference"


VALUES = {
    "ctx()": "the context: the record that the kernel passes to the program",
    "ctx(id=0,off=0,imm=0)": "the context: the record that the kernel passes to the program",
    "5": "the number 5",
    "P0x40": "the number 64",
    "inv7": "the number 7",
    "invP7": "the number 7",
    "scalar()": "a number that can be anything",
    "inv(id=0)": "a number that can be anything",
    "scalar(umax=255,var_off=(0x0; 0xff))": "a number from 0 to 255",
    "inv(id=0,umax_value=16,var_off=(0x0; 0x1f))": "a number from 0 to 16",
    "scalar(smin=smin32=0,smax=umax=smax32=umax32=15,var_off=(0x0; 0xf))": "a number from 0 to 15",
    "scalar(smin=-8,smax=7)": "a number from -8 to 7",
    "scalar(smax=16)": "a number of at most 16, perhaps negative",
    "scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff))": "a number that can be anything (32 bits)",
    "fp-16": "an address on the stack, 16 bytes below its top",
    "map_ptr(map=start,ks=4,vs=8)": "the map `start` itself",
    "map_value_or_null(id=1,map=start,ks=4,vs=8)": "a pointer to a value of 8 bytes in the map `start`, or NULL",
    "map_value_or_null(id=1,off=0,ks=4,vs=8,imm=0)": "a pointer to a map's value of 8 bytes, or NULL",
    "map_value(off=8,ks=4,vs=16,imm=0)": "a pointer to a map's value of 16 bytes, moved by 8 bytes",
    "map_value(map=m,ks=4,vs=64,smin=0,smax=umax=248,var_off=(0x0; 0xf8))": (
        "a pointer to a value of 64 bytes in the map `m`, moved by 0 to 248 bytes"
    ),
    "ringbuf_mem(ref_obj_id=2,sz=16)": "a pointer to a ring-buffer record of 16 bytes",
    "alloc_mem_or_null(id=2,ref_obj_id=2,off=0,imm=0)": "a pointer to a ring-buffer record, or NULL",
    "trusted_ptr_task_struct()": "a pointer to the kernel's struct task_struct",
    "pkt(r=8)": "a pointer into the packet",
    "something_new(a=1)": "`something_new(a=1)`",
}


@pytest.mark.parametrize(("raw", "words"), VALUES.items(), ids=list(VALUES))
def test_a_value_is_said_in_words(raw: str, words: str) -> None:
    assert notation.value(raw) == words


INSTRUCTIONS = {
    "r1 = *(u64 *)(r0 +8)": "reads 8 bytes at the address in R0, plus 8",
    "*(u8 *)(r10 -1) = 0": "writes 1 byte at an address on the stack, 1 byte below its top",
    "lock *(u64 *)(r1 +0) += r2": "changes in one step 8 bytes at the address in R1",
    "r1 = atomic64_fetch_add((u64 *)(r0 +16), r1)": "changes in one step 8 bytes at the address in R0, plus 16",
    "call bpf_map_lookup_elem#1": "calls bpf_map_lookup_elem",
    "call pc+7": "calls a function",
    "r0 += r6": "adds R6 to R0",
    "r0 <<= 1": "shifts R0 to the left by 1 bits",
    "w1 &= 255": "keeps those bits of R1 that are set in 255",
    "if r0 == 0x0 goto pc+3": "compares, and perhaps jumps",
    "goto pc-4": "jumps",
    "exit": "returns from the program",
    "r1 = 0xffff8881043c2400": "computes",
}


@pytest.mark.parametrize(("text", "words"), INSTRUCTIONS.items(), ids=list(INSTRUCTIONS))
def test_an_instruction_is_said_in_words(text: str, words: str) -> None:
    assert notation.instruction(text) == words


def test_every_rule_says_what_it_means() -> None:
    for rule in rules.RULES:
        assert rule.patterns and rule.means and rule.needs and rule.fix
        for pattern in rule.patterns:
            re.compile(pattern)


# -- the wording of other kernels ----------------------------------------------------------------

RECORDED = {
    f"{path.stem}-{name}": log
    for path in sorted(Path(__file__).with_name("logs").glob("*.txt"))
    for name, _, log in (part.partition("\n") for part in path.read_text().split("==== ")[1:])
}


@pytest.mark.parametrize("recorded", RECORDED)
def test_a_log_recorded_on_another_kernel_tells_the_same_cause(recorded: str) -> None:
    """Real logs of kernels 5.10 to 6.18, or their last lines."""
    name = recorded.partition("-")[2]
    told = explain.explain(RECORDED[recorded])
    assert told.kind == case(Path(__file__).with_name("rejected") / f"{name}.c").kind, told.detail
    assert told.said in RECORDED[recorded]
