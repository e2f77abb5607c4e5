# SPDX-License-Identifier: Apache-2.0
"""Lesson 03: each exhibit is refused for its cause, and accepted with its fix; the kernel is the witness."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from running_kernel import since

from labkit.bpf.program import Program
from labkit.bpf.text import BPF_FOLDER
from labkit.bpf.verifier import explain
from labkit.errors import BadArgument
from labkit.lessons import verifier
from labkit.lessons.verifier import exercises
from labkit.machine.folders import repo_folder
from labkit.running import truths

EXHIBITS = sorted(verifier.GALLERY)


def code(program: str) -> list[str]:
    return (repo_folder() / verifier.source_of(program)).read_text().splitlines()


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"programs": ["null_tset"]}, "null_test"),
        ({"programs": []}, "programs"),
        ({"versions": ["broken"]}, "as written"),
        ({"versions": []}, "one or more"),
    ],
)
def test_measure_names_the_bad_argument(arguments: dict[str, list[str]], names: str) -> None:
    with pytest.raises(BadArgument, match=names):
        verifier.measure(**arguments)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"rounds": [0]}, "rounds=0"),
        ({"rounds": []}, "rounds"),
        ({"rounds": [10], "bodies": ["bent"]}, "plain"),
        ({"rounds": ["ten"]}, "rounds='ten'"),
        ({"rounds": [10_000_001]}, "10000000"),
    ],
)
def test_loops_names_the_bad_argument(arguments: dict[str, list[object]], names: str) -> None:
    with pytest.raises(BadArgument, match=names):
        verifier.loops(**arguments)  # type: ignore[arg-type]


def test_judge_suggests_the_nearest_exhibit() -> None:
    with pytest.raises(BadArgument, match="did you mean 'no_licence'"):
        verifier.judge("no_license")


@pytest.mark.parametrize("limit", [0, 1001, "many", 2.5])
def test_a_limit_is_a_whole_number(limit: object) -> None:
    with pytest.raises(BadArgument, match="limit="):
        exercises.row_of_secret_size(limit)  # type: ignore[arg-type]


# -- the gallery ---------------------------------------------------------------------------------


def test_every_program_of_the_folder_is_an_exhibit() -> None:
    assert sorted(path.stem for path in (BPF_FOLDER / "verifier").glob("*.c")) == EXHIBITS
    assert len(EXHIBITS) >= 12


def test_every_exhibit_shows_its_edit() -> None:
    for program in EXHIBITS:
        assert sum("FIXED" in line for line in code(program)) == 1, program


@pytest.fixture(scope="module")
def gallery() -> pd.DataFrame:
    return verifier.measure()


@pytest.mark.bpf
@pytest.mark.parametrize("program", EXHIBITS)
def test_an_exhibit_is_refused_for_its_cause_and_its_fix_is_accepted(gallery: pd.DataFrame, program: str) -> None:
    rows = gallery[gallery["program"] == program].set_index("version")
    written, fixed = rows.loc["as written"], rows.loc["fixed"]
    assert (written["verdict"], written["cause"]) == ("rejected", verifier.GALLERY[program].cause)
    assert (fixed["verdict"], fixed["cause"], fixed["source_line"]) == ("accepted", "", 0)
    assert written["said"]


# What the line of the mistake must contain.
WRONG = {
    "null_test": "*count += 1;",
    "off_by_one": "row->cell[index] += 1;",
    "past_value": "record->last_ns = bpf_ktime_get_ns();",
    "pointer_too_far": "row->cell[offset] += 1;",
    "no_result": "return result;",
    "never_set": "sizes.lookup(&key)",
    "large_stack": "TRACEPOINT_PROBE",
    "unbounded_loop": "sum += bpf_get_prandom_u32();",
    "not_submitted": "ringbuf_reserve",
    "used_after_submit": "event->cpu = bpf_get_smp_processor_id();",
    "foreign_address": "*(volatile char *)address",
    "leaked_pointer": "(u64)packet;",
    "context_written": "args->flags |= 1;",
    "wrong_helper": "bpf_clone_redirect",
    "no_licence": "bpf_probe_read_user",
}


@pytest.mark.bpf
@pytest.mark.parametrize("program", EXHIBITS)
def test_the_line_is_the_one_that_is_wrong(gallery: pd.DataFrame, program: str) -> None:
    rows = gallery[(gallery["program"] == program) & (gallery["version"] == "as written")]
    line = code(program)[int(rows["source_line"].iloc[0]) - 1]
    assert WRONG[program] in line or (program == "unbounded_loop" and "for (" in line)


@pytest.mark.bpf
def test_the_frame_says_where_it_comes_from(gallery: pd.DataFrame) -> None:
    assert gallery.attrs["kernel"]
    assert set(gallery["loader"]) == {"root", "CAP_BPF alone"}


@pytest.mark.bpf
def test_who_loads_a_program_matters() -> None:
    """The same program: root may keep an address in a map, a loader with CAP_BPF alone may not."""
    assert verifier.judge("leaked_pointer", trusted=True).kind == explain.ACCEPTED
    assert verifier.judge("leaked_pointer", trusted=False).kind == "leak"


@pytest.mark.bpf
def test_root_may_read_what_was_never_set_since_linux_6_3() -> None:
    """ "bpf: Allow reads from uninit stack" (6.3) is for a loader that may read kernel memory anyway."""
    assert verifier.judge("never_set", trusted=True).kind == (explain.ACCEPTED if since("6.3") else "uninitialised")
    assert verifier.judge("never_set", trusted=False).kind == "uninitialised"


# -- loops ---------------------------------------------------------------------------------------


@pytest.mark.bpf
def test_the_verifier_walks_every_round_until_it_gives_up() -> None:
    frame = verifier.loops([1000, 2000, 1_000_000], ["plain"]).set_index("rounds")
    per_round = (frame.loc[2000, "walked"] - frame.loc[1000, "walked"]) / 1000
    assert per_round >= 2
    assert frame.loc[1000, "verdict"] == "accepted"
    assert (frame.loc[1_000_000, "verdict"], frame.loc[1_000_000, "cause"]) == ("rejected", "loop")
    assert frame.loc[1_000_000, "walked"] > 1_000_000


# -- exercises -----------------------------------------------------------------------------------


@pytest.mark.bpf
def test_the_log_of_a_mask_holds_its_answer() -> None:
    log = exercises.log_of_a_mask()
    assert re.search(rf"R0(?:_w)?=map_value\(.*umax=(?:\w+=)*{truths.expected('03-q1')}\b", log)


@pytest.mark.bpf
def test_the_largest_accepted_limit_is_the_secret_size() -> None:
    exercises.row_of_secret_size(1)
    cells = truths.expected("03-q2")
    assert isinstance(cells, int)
    assert exercises.row_of_secret_size(cells).kind == explain.ACCEPTED
    assert exercises.row_of_secret_size(cells + 1).kind == "bounds"
    assert truths.expected("03-q2") == cells


COUNT_OPENS = """#include "labkit.h"
BPF_HASH(opens, u32, u64);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	u32 key = 0;

	if (labkit_is_target())
		opens.increment(key);
	return 0;
}
"""


@pytest.mark.bpf
def test_a_repaired_program_counts_the_secret_number_of_opens(tmp_path: Path) -> None:
    path = tmp_path / "watch.c"
    path.write_text(COUNT_OPENS)
    with Program(source=path) as watch:
        watch.attach()
        for _ in range(2):  # a second go starts from zero
            assert "What did your program count?" in exercises.open_files(watch)
            counted = sum(watch.hash("opens").values())
            watch.detach()
            watch.attach()
            assert counted == truths.expected("03-q3")


def test_a_program_that_is_not_loaded_is_said_so() -> None:
    assert "not loaded yet" in exercises.open_files(None)


@pytest.mark.bpf
def test_a_log_without_a_name_tells_its_cause() -> None:
    log = exercises.log_without_a_name()
    assert truths.expected("03-q4") in {exhibit.cause for exhibit in verifier.GALLERY.values()}
    assert "processed" in log


@pytest.mark.bpf
def test_nothing_of_the_gallery_stays_loaded() -> None:
    def loaded() -> set[int]:
        listed = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, check=True).stdout
        return {each["id"] for each in json.loads(listed) if "sys_enter_opena" in each.get("name", "")}

    before = loaded()  # a test before this one may have kept a program
    verifier.judge("null_test", fixed=True)
    verifier.judge("null_test")
    assert loaded() <= before
