# SPDX-License-Identifier: Apache-2.0
"""Which folders the lab uses as root: none in which another user could put files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labkit.errors import Missing
from labkit.machine.folders import cache_folder, data_folder, others_may_write

STRANGER = 12345
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")


@pytest.mark.parametrize(
    ("owner", "group", "mode", "is_safe_for_data", "is_safe_for_code"),
    [
        (0, 0, 0o755, True, True),
        (0, 0, 0o775, True, True),
        (0, STRANGER, 0o755, True, True),
        (0, STRANGER, 0o775, False, False),
        (0, 0, 0o777, False, False),
        (0, 0, 0o1777, True, False),
        (STRANGER, STRANGER, 0o755, False, False),
    ],
)
def test_the_owner_and_the_mode_decide(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: int,
    group: int,
    mode: int,
    is_safe_for_data: bool,
    is_safe_for_code: bool,
) -> None:
    os.chown(tmp_path, owner, group)
    tmp_path.chmod(mode)
    for variable, folder, is_safe in (
        ("LABKIT_DATA", data_folder, is_safe_for_data),
        ("LABKIT_CACHE", cache_folder, is_safe_for_code),
    ):
        monkeypatch.setenv(variable, str(tmp_path))
        if is_safe:
            assert folder() == tmp_path
        else:
            with pytest.raises(Missing, match=f"{tmp_path} cannot be used: (others may write|it belongs to user)"):
                folder()


@pytest.mark.parametrize("variable", ["LABKIT_DATA", "LABKIT_CACHE"])
@pytest.mark.parametrize("name", ["/proc/nowhere", "/dev/null", "a\0b", "x" * 100_000, "/dev/null/x"])
def test_one_that_cannot_be_made_says_so_in_two_lines(
    monkeypatch: pytest.MonkeyPatch, variable: str, name: str
) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, variable: name})  # the real one takes no NUL
    with pytest.raises(Missing, match="cannot be used") as caught:
        (data_folder if variable == "LABKIT_DATA" else cache_folder)()
    assert variable in caught.value.fix
    assert len(str(caught.value)) < 500


def test_a_link_is_not_what_it_seems(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert others_may_write(tmp_path / "link") == "it is a symbolic link"
