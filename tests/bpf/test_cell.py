# SPDX-License-Identifier: Apache-2.0
"""A learner's program: every record and entry as a frame, every loss counted.

Witnesses: the workload's own number of calls, and bpftool.
"""

from __future__ import annotations

import errno
import functools
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labkit.bpf import cell as cell_module
from labkit.bpf import collect
from labkit.bpf.cell import Cell
from labkit.bpf.text import Source
from labkit.errors import BadArgument, CompileError, LabkitError, VerifierError
from labkit.running.workload import Workload

pytestmark = pytest.mark.bpf

CALLS = 211
PROBE = (
    "TRACEPOINT_PROBE(syscalls, sys_enter_getppid)\n{\n\tif (!labkit_is_target())\n\t\treturn 0;\n%s\n\treturn 0;\n}\n"
)

Make = Callable[[str, str], Cell]


def written(folder: Path, declared: str, body: str) -> Cell:
    path = folder / "learner.c"
    path.write_text(f'#include "labkit.h"\n{declared}\n{PROBE % body}')
    return Cell(path)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return functools.partial(written, tmp_path)


def call(cell: Cell, calls: int = CALLS, threads: int = 1) -> int:
    """Let a workload call getppid; return how often it did."""
    arguments = ["--work", "count", "--threads", str(threads), "--calls", str(calls)]
    with Workload("maps", arguments) as run, cell.watching(run.pid):
        return int(run.go()["calls"])


def dumped(cell: Cell, name: str) -> list[Any]:
    """Return a map as bpftool dumps it."""
    number = cell.shape(name).id
    text = subprocess.run(
        ["bpftool", "-j", "map", "dump", "id", str(number)], capture_output=True, text=True, check=True
    )
    return json.loads(text.stdout)


# -- records -------------------------------------------------------------------------------------

STRUCT = "struct event { u64 number; s32 minus; u32 pid; char comm[16]; };\n"
FILL = """\tstruct event event = {};
	event.number = bpf_ktime_get_ns();
	event.minus = -7;
	event.pid = labkit_pid();
	bpf_get_current_comm(&event.comm, sizeof(event.comm));
"""
SENDS = {
    "output": ("BPF_RINGBUF_OUTPUT(events, 64);", FILL + "\tevents.ringbuf_output(&event, sizeof(event), 0);"),
    "perf": ("BPF_PERF_OUTPUT(events);", FILL + "\tevents.perf_submit(args, &event, sizeof(event));"),
    "reserve": (
        "BPF_RINGBUF_OUTPUT(events, 64);",
        FILL + "\tstruct event *room = events.ringbuf_reserve(sizeof(struct event));\n"
        "\tif (!room)\n\t\treturn 0;\n\t*room = event;\n\tevents.ringbuf_submit(room, 0);",
    ),
}


@pytest.mark.parametrize("way", SENDS)
def test_each_record_is_a_row_with_named_and_typed_columns(make: Make, way: str) -> None:
    declared, body = SENDS[way]
    with make(STRUCT + declared, body) as cell:
        assert call(cell) == CALLS
        frame = cell.events("events")
        assert list(frame.columns) == ["number", "minus", "pid", "comm"]
        assert (len(frame), frame.attrs["lost_events"], frame.attrs["warnings"]) == (CALLS, 0, [])
        assert [str(frame[name].dtype) for name in ("number", "minus", "pid")] == ["uint64", "int32", "uint32"]
        assert set(frame["comm"]) == {"maps"}
        assert set(frame["minus"]) == {-7}
        assert frame["number"].is_monotonic_increasing or way == "perf"


LOSSY = "struct event { u64 a[32]; };\n"  # 256 bytes
IGNORES = {
    "output": ("BPF_RINGBUF_OUTPUT(events, 1);", "\tstruct event e = {};\n\tevents.ringbuf_output(&e, sizeof(e), 0);"),
    "reserve": (
        "BPF_RINGBUF_OUTPUT(events, 1);",
        "\tstruct event *e = events.ringbuf_reserve(sizeof(*e));\n\tif (e)\n\t\tevents.ringbuf_submit(e, 0);",
    ),
    "perf": ("BPF_PERF_OUTPUT(events);", "\tstruct event e = {};\n\tevents.perf_submit(args, &e, sizeof(e));"),
}


@pytest.mark.parametrize("way", IGNORES)
@pytest.mark.parametrize("threads", [1, 2])
def test_delivered_and_lost_are_what_was_produced(
    make: Make, monkeypatch: pytest.MonkeyPatch, way: str, threads: int
) -> None:
    """The program ignores all results; the workload knows how many records there must be."""
    monkeypatch.setattr(collect, "PERF_PAGES", 1)
    declared, body = IGNORES[way]
    with make(LOSSY + declared, body) as cell:
        produced = call(cell, 20_011, threads)
        frame = cell.events("events")
        assert len(frame) + frame.attrs["lost_events"] == produced
        assert cell.lost_events == frame.attrs["lost_events"] > 0
        assert f"{frame.attrs['lost_events']} records are missing" in repr(frame)


def test_a_record_sent_in_a_condition_counts_as_well(make: Make) -> None:
    body = "\tstruct event e = {};\n\tif (events.ringbuf_output(&e, sizeof(e), 0) < 0)\n\t\tlabkit_count_lost();"
    with make(LOSSY + "BPF_RINGBUF_OUTPUT(events, 1);", body) as cell:
        produced = call(cell, 5003)
        assert len(cell.events("events")) + cell.lost_events == produced


def test_losses_name_the_buffer_and_the_fix(make: Make) -> None:
    declared = LOSSY + "BPF_RINGBUF_OUTPUT(wide, 256);\nBPF_RINGBUF_OUTPUT(narrow, 1);\nBPF_HASH(few, u64, u64, 5);"
    body = """	struct event e = {};
	u64 now = bpf_ktime_get_ns();
	wide.ringbuf_output(&e, 8, 0);
	narrow.ringbuf_output(&e, sizeof(e), 0);
	few.increment(now);"""
    with make(declared, body) as cell:
        produced = call(cell, 1009)
        found = cell.losses().set_index("map")
        assert found.loc["narrow", "count"] + len(cell.events("narrow")) == produced
        assert "BPF_RINGBUF_OUTPUT(narrow, 2)" in found.loc["narrow", "fix"]
        assert found.loc["few", "count"] == produced - 5 == produced - len(cell.map("few"))
        assert "wide" not in found.index


def test_clear_forgets_records_and_losses(make: Make) -> None:
    declared, body = IGNORES["output"]
    with make(LOSSY + declared, body) as cell:
        call(cell, 5003)
        cell.clear("events")
        assert (len(cell.events("events")), cell.lost_events) == (0, 0)
        produced = call(cell, 5003)
        assert len(cell.events("events")) + cell.lost_events == produced


HOSTILE = """enum colour { RED, GREEN = 7 };
struct inner { u16 a; char s[3]; };
struct event {
	u32 three:3; s32 five:5; u64 wide:40;
	enum colour colour; enum colour strange;
	struct inner in[2];
	union { u32 number; u8 raw[4]; };
	void *pointer;
	bool yes;
	char words[2][4];
	unsigned __int128 big;
	u64 list[20];
	u16 after;
	char none[0];
} __attribute__((packed));
"""
HOSTILE_BODY = """	struct event e = {};
	e.three = 5; e.five = -3; e.wide = 0xabcdef0123ULL; e.colour = GREEN; e.strange = 3;
	e.in[1].a = 99; e.in[1].s[0] = 'x'; e.number = 0x04030201; e.pointer = (void *)0x1234; e.yes = 1;
	e.words[1][0] = 'o'; e.words[1][1] = 'k'; e.big = (unsigned __int128)1 << 70; e.list[19] = 23; e.after = 65535;
	events.ringbuf_output(&e, sizeof(e), 0);"""


def test_hostile_structs_have_the_values_that_were_written(make: Make) -> None:
    with make(HOSTILE + "BPF_RINGBUF_OUTPUT(events, 64);", HOSTILE_BODY) as cell:
        call(cell, 23)
        row = cell.events("events").iloc[22]
    wanted = {
        "three": 5,
        "five": -3,
        "wide": 0xABCDEF0123,
        "colour": "GREEN",
        "strange": "3",
        "in[1].a": 99,
        "in[1].s": "x",
        "in[0].a": 0,
        "number": 0x04030201,
        "raw": b"\1\2\3\4",
        "pointer": 0x1234,
        "yes": True,
        "words[1]": "ok",
        "words[0]": "",
        "big": 1 << 70,
        "list": [0] * 19 + [23],
        "after": 65535,
    }
    assert {name: row[name] for name in wanted} == wanted
    assert "none" not in row.index


def test_a_value_that_is_no_struct_has_one_column(make: Make) -> None:
    body = "\tu64 now = 23;\n\tevents.ringbuf_output(&now, sizeof(now), 0);"
    with make("BPF_RINGBUF_OUTPUT(events, 64);", body) as cell:
        call(cell, 23)
        assert cell.events("events")["value"].tolist() == [23] * 23


def test_a_million_records_arrive_or_are_counted(make: Make) -> None:
    body = "\tstruct event e = {.t = bpf_ktime_get_ns()};\n\tevents.ringbuf_output(&e, sizeof(e), 0);"
    with make("struct event { u64 t; };\nBPF_RINGBUF_OUTPUT(events, 1024);", body) as cell:
        produced = call(cell, 500_000, threads=2)
        assert produced == 1_000_000
        assert len(cell.events("events")) + cell.lost_events == produced


def test_detached_in_mid_stream_what_came_can_still_be_read(make: Make) -> None:
    declared, body = SENDS["output"]
    with make(STRUCT + declared, body) as cell, Workload("maps", ["--work", "count", "--calls", "101"]) as run:
        cell.aim(pid=run.pid)
        cell.attach()
        cell.detach()
        run.go()
        assert len(cell.events("events")) == 0


# -- maps ----------------------------------------------------------------------------------------


def test_a_struct_as_key_has_a_column_for_each_field(make: Make) -> None:
    body = """	struct who w = {.pid = labkit_pid()};
	bpf_get_current_comm(&w.comm, sizeof(w.comm));
	calls.increment(w);"""
    with make("struct who { u32 pid; char comm[16]; };\nBPF_HASH(calls, struct who, u64);", body) as cell:
        call(cell)
        frame = cell.map("calls")
        (witness,) = dumped(cell, "calls")
        pid = int(frame["pid"].iloc[0])
        assert frame.drop(columns="pid").to_dict("records") == [{"comm": "maps", "value": CALLS}]
        assert cell.hash("calls") == {(pid, b"maps"): CALLS}
        assert witness["formatted"]["key"]["pid"] == pid
        assert witness["formatted"]["value"] == CALLS


@pytest.mark.parametrize(
    "declared",
    [
        "BPF_HASH(m, u32, u64);",
        "BPF_PERCPU_HASH(m, u32, u64);",
        "BPF_ARRAY(m, u64, 2);",
        "BPF_PERCPU_ARRAY(m, u64, 2);",
        'BPF_TABLE("lru_hash", u32, u64, m, 64);',
        "BPF_HISTOGRAM(m, int, 2);",
        'BPF_TABLE("lru_percpu_hash", u32, u64, m, 64);',
    ],
)
def test_each_kind_of_map_is_a_frame(make: Make, declared: str) -> None:
    body = "\tu32 one = 1;\n\tu64 zero = 0, *count = m.lookup_or_try_init(&one, &zero);\n\tif (count)\n\t\t*count += 1;"
    with make(declared, "\tint one = 1;\n\tm.increment(one);" if "HISTOGRAM" in declared else body) as cell:
        call(cell)
        frame = cell.map("m")
        assert frame.attrs["lost_events"] == 0
        assert frame.loc[frame["key"] == 1, "value"].tolist() == [CALLS]
        if "CPU" in declared or "percpu" in declared:
            assert "sum over" in repr(frame)
            each = cell.map("m", per_cpu=True)
            assert each.loc[each["key"] == 1, "value"].sum() == CALLS
            assert "cpu" in each.columns


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ("BPF_PERCPU_HASH(m, u32, u64);", "makes no new entry in this kind of map"),
        ('BPF_TABLE("lru_hash", u32, u64, m, 64);', "makes no new entry in this kind of map"),
        ("BPF_ARRAY(m, u64, 7);", "the index was not below 7"),
        ("BPF_HISTOGRAM(m, int, 7);", "the index was not below 7"),
        ("BPF_HASH(m, u32, u64, 1);", ""),
    ],
)
def test_increment_that_counts_nothing_is_told(make: Make, declared: str, says: str) -> None:
    with make(declared, "\tint seven = 7;\n\tm.increment(seven);") as cell:
        call(cell)
        assert cell.map("m").attrs["lost_events"] == (CALLS if says else 0)
        assert says in repr(cell.map("m"))


def test_stacks_have_names(make: Make) -> None:
    body = "\tint id = stacks.get_stackid(args, 0);\n\tu32 key = id;\n\tseen.increment(key);"
    with make("BPF_STACK_TRACE(stacks, 64);\nBPF_HASH(seen, u32, u64);", body) as cell:
        call(cell, 23)
        frame = cell.map("stacks")
        if set(cell.map("seen")["key"]) == {-errno.EFAULT % (1 << 32)}:
            pytest.skip("this kernel gives no stack of its own at a system call's tracepoint (5.10 does not)")
        assert list(frame.columns) == ["stack_id", "stack"]
        assert "do_syscall_64_[k]" in frame["stack"].iloc[0] or "el0_svc" in frame["stack"].iloc[0]
        assert set(frame["stack_id"]) == set(cell.map("seen")["key"])


def test_set_writes_what_map_reads_and_bpftool_sees(make: Make) -> None:
    with make(
        "struct s { s8 n; char t[4]; u32 b:3; };\nBPF_HASH(m, u32, struct s, 2);\nBPF_PERCPU_ARRAY(a, u32, 2);", ""
    ) as cell:
        cell.set("m", 5, {"n": -3, "t": "abc", "b": 6})
        assert cell.map("m").to_dict("records") == [{"key": 5, "n": -3, "t": "abc", "b": 6}]
        assert dumped(cell, "m")[0]["formatted"]["value"]["n"] == -3
        cell.set("a", 1, 7)
        assert cell.map("a", per_cpu=True).query("key == 1")["value"].unique().tolist() == [7]
        cell.clear("m")
        assert len(cell.map("m")) == 0


@pytest.fixture(scope="module")
def two_maps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    """Yield a program with a buffer `events` and a hash `calls` of five entries; nobody attaches it."""
    declared = STRUCT + "BPF_RINGBUF_OUTPUT(events, 1);\nBPF_HASH(calls, u32, u64, 5);"
    body = FILL + "\tevents.ringbuf_output(&event, sizeof(event), 0);"
    with written(tmp_path_factory.mktemp("cell"), declared, body) as cell:
        yield cell


@pytest.mark.anywhere
@pytest.mark.parametrize(
    ("call_it", "says"),
    [
        (lambda cell: cell.map("cals"), "did you mean 'calls'"),
        (lambda cell: cell.map(7), "map=7 is not known"),
        (lambda cell: cell.events("calls"), "not a ring buffer"),
        (lambda cell: cell.events("event"), "did you mean 'events'"),
        (lambda cell: cell.map("events"), "buffer of records"),
        (lambda cell: cell.hash("events"), "buffer of records"),
        (lambda cell: cell.counters("events"), "buffer of records"),
        (lambda cell: cell.clear("cals"), "did you mean 'calls'"),
        (lambda cell: cell.set("calls", -1, 1), "key=-1"),
        (lambda cell: cell.set("calls", 1, 1 << 64), "a whole number from 0 to 18446744073709551615"),
        (lambda cell: cell.set("calls", "one", 1), "key='one'"),
        (lambda cell: cell.set("events", 1, 1), "no entries to write"),
        (lambda cell: [cell.set("calls", key, 1) for key in range(6)], "it has room for 5 entries"),
        (lambda cell: cell.map("calls", pid=1, per_cpu=3), "per_cpu=3"),
    ],
)
def test_a_bad_argument_is_told_in_two_lines(two_maps: Cell, call_it: Callable[[Cell], object], says: str) -> None:
    with pytest.raises(LabkitError, match=re.escape(says)) as raised:
        call_it(two_maps)
    assert len(str(raised.value).splitlines()) == 2


TWO = "struct one { u32 n; };\nstruct two { u32 n; char name[16]; };\n"
BUFFERS = {
    "BPF_RINGBUF_OUTPUT(events, 8);": "events.ringbuf_output(&{0}, sizeof({0}), 0);",
    "BPF_PERF_OUTPUT(events);": "events.perf_submit(args, &{0}, sizeof({0}));",
}


@pytest.mark.parametrize(("declared", "send"), BUFFERS.items(), ids=["ring", "perf"])
def test_two_structs_in_one_buffer_are_told_apart_by_their_size(make: Make, declared: str, send: str) -> None:
    body = f"""	struct one a = {{ .n = 1 }};
	struct two b = {{ .n = 2, .name = "two" }};
	{send.format("a")}
	{send.format("b")}
	{send.format("b")}"""
    with make(TWO + declared, body) as cell:
        assert call(cell, 23) == 23
        assert cell.events("events", of="one")["n"].tolist() == [1] * 23
        two = cell.events("events", of="two", last=3)
        assert (two["n"].tolist(), two["name"].tolist()) == ([2] * 3, ["two"] * 3)
        assert "46 of the 69 records" in cell.events("events", of="two").told[0]
        with pytest.raises(BadArgument, match=r'say which: \w+\.events\("events", of="one"\)'):
            cell.events("events")
        with pytest.raises(BadArgument, match="of='tow'"):
            cell.events("events", of="tow")


def test_two_structs_of_one_size_in_one_buffer_are_refused(make: Make) -> None:
    body = """	struct one a = { .n = 1 };
	struct same { u16 high, low; } b = {};
	events.ringbuf_output(&a, sizeof(a), 0);
	events.ringbuf_output(&b, sizeof(b), 0);"""
    with make(TWO + "BPF_RINGBUF_OUTPUT(events, 1);", body) as cell:
        with pytest.raises(BadArgument, match="declare one buffer for each type"):
            cell.events("events")


def test_an_empty_map_says_that_no_line_fills_it(make: Make) -> None:
    look = "\tu32 k = 1;\n\tu64 *v = m.lookup(&k);\n\tif (v)\n\t\t*v += 1;"
    with make("BPF_HASH(m, u32, u64);\nBPF_HASH(other, u32, u64);", f"{look}\n\tother.increment(k);") as cell:
        assert cell.map("m").told[-1].startswith("No line of the program puts an entry into m")
        assert not any("No line" in each for each in cell.map("other").told)


def test_aiming_again_says_that_counts_go_on(make: Make) -> None:
    with make("BPF_HASH(m, u32, u64);", "\tu32 one = 1;\n\tm.increment(one);") as cell:
        with Workload("maps", ["--work", "count", "--calls", "23"]) as run:
            assert cell.aim(pid=run.pid) is None
            cell.attach()
            run.go()
        with Workload("maps", ["--work", "count", "--calls", "23"]) as run:
            assert "the earlier counts continue" in str(cell.aim(pid=run.pid))
            assert cell.aim(pid=run.pid, clear=True) is None
            assert len(cell.map("m")) == 0
            assert isinstance(cell.losses(), pd.DataFrame)


def test_an_array_says_which_keys_it_has(make: Make) -> None:
    with make("BPF_ARRAY(m, u32, 3);", "") as cell, pytest.raises(LabkitError, match="its keys are 0 to 2"):
        cell.set("m", 3, 1)


def test_a_prefix_trie_is_read_and_emptied(make: Make) -> None:
    body = "\tstruct k k = {.len = 32, .a = {1, 2, 3, 4}};\n\tu64 v = 5;\n\tm.update(&k, &v);"
    with make("struct k { u32 len; u8 a[4]; };\nBPF_LPM_TRIE(m, struct k, u64, 10);", body) as cell:
        call(cell, 23)
        assert cell.map("m").to_dict("records") == [{"len": 32, "a": b"\1\2\3\4", "value": 5}]
        cell.clear("m")
        assert len(cell.map("m")) == 0


def test_a_union_is_a_key_too(make: Make) -> None:
    with make("union u { u32 a; char b[4]; };\nBPF_HASH(m, union u, u64);", "") as cell:
        cell.set("m", {"b": "xy"}, 3)
        assert cell.map("m").to_dict("records") == [{"a": 0x7978, "b": "xy", "value": 3}]
        assert cell.hash("m") == {(0x7978, b"xy"): 3}


def test_a_large_hash_is_read_whole(make: Make) -> None:
    body = "\tu64 key = bpf_ktime_get_ns();\n\tm.increment(key);"
    with make("BPF_HASH(m, u64, u64, 50000);", body) as cell:
        call(cell, 60_013)
        frame = cell.map("m")
        assert (len(frame), frame["key"].nunique(), frame.attrs["lost_events"]) == (50_000, 50_000, 10_013)


def test_a_queue_says_that_it_has_no_rows(make: Make) -> None:
    with make("BPF_QUEUE(q, u64, 10);", "") as cell:
        with pytest.raises(BadArgument, match="no rows to show"):
            cell.map("q")
        with pytest.raises(BadArgument, match="cannot be emptied"):
            cell.clear("q")
        cell.clear()


def test_where_only_what_was_added_is_refused_the_error_is_no_verdict(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(source: Source) -> Source:
        return replace(
            source, text=source.text.replace("u32 one = 1;", "u32 one = 1; u64 *p = m.lookup(&one); *p = 5;")
        )

    monkeypatch.setattr(cell_module, "counted", spoilt)
    body = "\tu32 one = 1;\n\tm.increment(one);"
    with pytest.raises(CompileError, match="What was added"), make("BPF_HASH(m, u32);", body):
        pass


def test_a_refusal_is_explained_without_what_was_added(make: Make) -> None:
    body = "\tu32 one = 1;\n\tu64 *count = m.lookup(&one);\n\t*count += 1;\n\tm.increment(one);"
    with pytest.raises(VerifierError, match=r"learner.c:9: ") as raised, make("BPF_HASH(m, u32);", body):
        pass
    assert "labkit_counted" not in str(raised.value) + raised.value.log
