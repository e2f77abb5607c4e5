# SPDX-License-Identifier: Apache-2.0
"""Controls have labels and write their values as people say them."""

from __future__ import annotations

import pytest

from labkit.notebook.panel import controls


def test_choices_are_written_by_the_schema() -> None:
    made = controls.choose("block_bytes", [4096, 65536], 65536)
    assert [label for label, _ in made._options_full] == ["4 KiB", "64 KiB"]
    assert (made.value, made.description) == (65536, "block size")


def test_the_first_choice_is_the_one_chosen() -> None:
    assert controls.choose("block_bytes", [4096, 65536]).value == 4096


def test_a_control_as_text_has_its_label_value_and_choices() -> None:
    assert controls.words(controls.choose("block_bytes", [4096, 65536])) == "block size: 4 KiB (of 4 KiB, 64 KiB)"
    assert controls.words(controls.several("block_bytes", [512, 4096], [512, 4096])).startswith(
        "block size: 512 B, 4 KiB"
    )
    assert controls.words(controls.whole("count", 23, 1, 99)) == "count: 23"
    assert controls.words(controls.switch("direct", True)) == "direct: True"
    assert controls.words(controls.text("file", "a.txt")) == "file: a.txt"


def test_numbers_keep_within_their_bounds() -> None:
    made = controls.whole("count", 23, 1, 99)
    made.value = 1000
    assert made.value == 99
    assert controls.real("ratio", 0.5, 0, 1).max == 1


def test_several_choices_are_boxes_to_tick() -> None:
    made = controls.several("block_bytes", [512, 4096, 65536], [4096], label="block sizes")
    boxes = made.boxes
    assert [box.description for box in boxes] == ["512 B", "4 KiB", "64 KiB"]
    assert [box.value for box in boxes] == [False, True, False]
    boxes[0].value = True
    assert made.value == (512, 4096)
    made.value = (65536,)
    assert [box.value for box in boxes] == [False, False, True]
    made.disabled = True
    assert all(box.disabled for box in boxes)
    with pytest.raises(ValueError, match="4097"):
        made.value = (4097,)
