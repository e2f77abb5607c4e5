# SPDX-License-Identifier: Apache-2.0
"""`labkit lessons` executes notebooks in fresh kernels, tells what failed and where, and leaves nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import pytest

import labkit
from labkit import runner
from labkit.cli import main
from labkit.errors import BadArgument, Missing
from labkit.notebook.recorded import MARK
from labkit.runner import lesson
from labkit.runner.pages import LessonRun


def write(folder: Path, name: str, *cells: str) -> Path:
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_markdown_cell("# Try"), *(nbformat.v4.new_code_cell(cell) for cell in cells)]
    notebook.metadata["kernelspec"] = {"name": "nonesuch", "display_name": "x", "language": "python"}
    path = folder / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, path)
    return path


def run(tmp_path: Path, *notebooks: Path, **how: object) -> tuple[list[LessonRun], list[str]]:
    said: list[str] = []
    outcomes = runner.run(notebooks, to=tmp_path / "out", say=said.append, **how)  # type: ignore[arg-type]
    return outcomes, said


def page(tmp_path: Path, name: str) -> str:
    return (tmp_path / "out" / f"{name}.html").read_text(encoding="utf-8")


def is_running(pid: str) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_a_lesson_becomes_a_page_an_index_and_a_summary(tmp_path: Path) -> None:
    [outcome], _ = run(tmp_path, write(tmp_path, "01-try", "print(20 + 3, 'counted')"))
    assert (outcome.status, outcome.error) == ("ok", "")
    assert "23 counted" in page(tmp_path, "01-try")
    assert 'href="01-try.html"' in (tmp_path / "out" / "index.html").read_text()
    [row] = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert set(row) == {"lesson", "status", "seconds", "recorded"}
    assert (row["lesson"], row["status"], row["recorded"]) == ("01-try", "ok", False)


def test_the_executed_notebook_is_next_to_its_page_for_the_site(tmp_path: Path) -> None:
    run(tmp_path, write(tmp_path, "01-try", "print(20 + 3, 'counted')"))
    written = nbformat.read(tmp_path / "out" / "01-try.ipynb", as_version=4)
    assert written.cells[1].outputs[0].text == "23 counted\n" and "widgets" not in written.metadata


def test_the_notebooks_stay_as_they_are_and_the_copy_is_gone(tmp_path: Path) -> None:
    path = write(tmp_path, "01-try", "open('made', 'w').close(); import os; print('in', os.getcwd(), '.')")
    before = path.read_bytes()
    run(tmp_path, path)
    found = re.search(r"in (\S+) \.", page(tmp_path, "01-try").split("<body")[1].split("jp-OutputArea-output")[1])
    assert found and not Path(found[1]).exists()
    assert [child.name for child in path.parent.iterdir()] == [path.name] and path.read_bytes() == before


def test_the_kernel_is_this_python_with_this_labkit(tmp_path: Path) -> None:
    write(tmp_path, "01-try", "import sys, labkit; print(sys.executable, labkit.__file__)")
    run(tmp_path, *runner.find(folder=tmp_path / "notebooks"))
    assert f"{sys.executable} {Path(labkit.__file__).parent}/__init__.py" in page(tmp_path, "01-try")


def test_each_lesson_has_a_kernel_of_its_own_that_is_gone_afterwards(tmp_path: Path) -> None:
    cell = "import os; print('pid', os.getpid(), '.'); assert 'seen' not in globals(); seen = 1"
    outcomes, _ = run(tmp_path, write(tmp_path, "01-a", cell), write(tmp_path, "02-b", cell))
    assert [outcome.status for outcome in outcomes] == ["ok", "ok"]
    pids = [re.search(r"pid (\d+) \.", page(tmp_path, name))[1] for name in ("01-a", "02-b")]  # type: ignore[index]
    assert pids[0] != pids[1]
    assert not any(is_running(pid) for pid in pids)


def test_a_failure_names_lesson_cell_and_error_and_the_others_go_on(tmp_path: Path) -> None:
    bad = write(tmp_path, "01-bad", "fine = 1", "# a remark\nraise ValueError('no such thing')", "print('not reached')")
    outcomes, said = run(tmp_path, bad, write(tmp_path, "02-good", "1 + 1"))
    assert [outcome.status for outcome in outcomes] == ["failed", "ok"]
    assert outcomes[0].error.splitlines() == ["01-bad, cell 2: # a remark", "ValueError: no such thing"]
    assert "    ValueError: no such thing" in "\n".join(said)
    assert "no such thing" in page(tmp_path, "01-bad") and "no such thing" in (tmp_path / "out/index.html").read_text()


def test_an_error_of_the_lab_is_told_with_its_fix(tmp_path: Path) -> None:
    cell = "from labkit.errors import Missing\nraise Missing('No ring here.', 'get a ring')"
    [outcome], _ = run(tmp_path, write(tmp_path, "01-try", cell))
    assert outcome.error.splitlines()[1:] == ["Missing: No ring here.", "Fix: get a ring"]


def test_a_cell_that_takes_too_long_fails_its_lesson(tmp_path: Path) -> None:
    [outcome], _ = run(tmp_path, write(tmp_path, "01-try", "import signal; signal.pause()"), timeout_s=1)
    assert outcome.status == "failed" and "longer than 1 s" in outcome.error


def test_a_kernel_that_dies_fails_its_lesson(tmp_path: Path) -> None:
    [outcome], _ = run(tmp_path, write(tmp_path, "01-try", "import os; os._exit(3)"))
    assert outcome.status == "failed" and "01-try, cell 1: import os" in outcome.error and "died" in outcome.error


def test_a_kernel_that_does_not_start_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["sh", "-c", "echo no such module >&2; exit 3"]
    monkeypatch.setattr(lesson, "get_kernel_dict", lambda: {"argv": argv, "display_name": "x", "language": "python"})
    [outcome], _ = run(tmp_path, write(tmp_path, "01-try", "1 + 1"))
    assert outcome.status == "failed" and "did not start" in outcome.error and "no such module" in outcome.error


def test_a_file_that_is_no_notebook_fails_its_lesson(tmp_path: Path) -> None:
    path = write(tmp_path, "01-try")
    path.write_text("{")
    outcomes, _ = run(tmp_path, path, write(tmp_path, "02-good", "1 + 1"))
    assert [outcome.status for outcome in outcomes] == ["failed", "ok"]


def test_a_process_left_behind_is_ended_and_told(tmp_path: Path) -> None:
    cell = "import subprocess as s; print('pid', s.Popen(['sleep', '600'], start_new_session=True).pid, '.')"
    [outcome], _ = run(tmp_path, write(tmp_path, "01-try", cell))
    pid = re.search(r"pid (\d+) \.", page(tmp_path, "01-try"))[1]  # type: ignore[index]
    assert outcome.status == "failed" and f"process {pid} (sleep 600)" in outcome.error
    assert not is_running(pid)


def test_a_recording_is_told_in_the_summary(tmp_path: Path) -> None:
    cell = f"from IPython.display import display\ndisplay('RECORDED', metadata={{{MARK!r}: '01-x'}})"
    [outcome], said = run(tmp_path, write(tmp_path, "01-try", cell))
    assert outcome.recorded and "RECORDED" in said[-1]


def test_the_page_loads_nothing_from_the_network(tmp_path: Path) -> None:
    cells = [
        "from labkit.notebook.predict import predict\npredict('How many?', [0, 23])",
        "import pandas; pandas.DataFrame()",
    ]
    run(tmp_path, write(tmp_path, "01-try", *cells))
    html = page(tmp_path, "01-try")
    assert "( ) 23" not in html and "<li>23</li>" in html
    loads = re.findall(
        r"""(?:<script[^>]*src=|<link[^>]*href=|\bimport\b[^;]*?|url\()\s*["']?((?:https?:)?//[^"')\s]+)""", html
    )
    assert loads == []


def test_links_between_lessons_lead_to_their_pages(tmp_path: Path) -> None:
    path = write(tmp_path, "01-try")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_markdown_cell("[Next](02-next.ipynb) [Other](solutions/01.ipynb)"))
    nbformat.write(notebook, path)
    run(tmp_path, path)
    assert 'href="02-next.html"' in page(tmp_path, "01-try")
    assert 'href="solutions/01.ipynb"' in page(tmp_path, "01-try")


def test_progress_is_told_cell_by_cell(tmp_path: Path) -> None:
    _, said = run(tmp_path, write(tmp_path, "01-try", "one = 1", "two = 2"))
    assert [re.sub(r"[\d.]+ s", "T", line) for line in said] == [
        "01-try: cell 1/2, T: one = 1",
        "01-try: cell 2/2, T: two = 2",
        "01-try: ok in T",
    ]


def test_a_cell_that_takes_long_is_told_of_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "TELL_EVERY_S", 0.05)
    told = tmp_path / "told"
    os.mkfifo(told)  # the cell ends when the first word about it was said
    path = write(tmp_path, "01-try", f"open({str(told)!r}).read()")
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 1:
            told.write_text("go on")

    runner.run([path], to=tmp_path / "out", say=say)
    assert "cell 1/1, still running after" in said[0]


def test_quick_reaches_the_kernel_and_the_learners_progress_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "mine.json"))
    imports = "from labkit.machine.folders import is_quick\nfrom labkit.notebook import solved\n"
    cell = f"{imports}assert is_quick()\nsolved.remember('01-q1')"
    [outcome], _ = run(tmp_path, write(tmp_path, "01-try", cell), quick=True)
    assert outcome.status == "ok" and not (tmp_path / "mine.json").exists()


def test_lessons_are_found_by_number_and_in_order(tmp_path: Path) -> None:
    for name in ("02-b", "01-a", "notes"):
        write(tmp_path, name)
    assert [path.stem for path in runner.find(folder=tmp_path / "notebooks")] == ["01-a", "02-b"]
    assert [path.stem for path in runner.find(["02"], tmp_path / "notebooks")] == ["02-b"]


def test_an_unknown_lesson_and_no_lessons_are_told(tmp_path: Path) -> None:
    write(tmp_path, "01-a")
    with pytest.raises(BadArgument, match="lesson='77'"):
        runner.find(["77"], tmp_path / "notebooks")
    with pytest.raises(Missing, match="no lessons"):
        runner.find(folder=tmp_path)


@pytest.mark.parametrize(("cell", "status"), [("1 + 1", 0), ("1 / 0", 1)])
def test_the_command_exits_as_the_lessons_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cell: str, status: int
) -> None:
    path = write(tmp_path, "01-try", cell)
    monkeypatch.setattr(runner, "find", lambda wanted: [path])
    assert main(["lessons", "01", "--to", str(tmp_path / "out")]) == status
    assert "01-try: " in capsys.readouterr().out


def test_interrupt_ends_the_kernel_and_the_command(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    os.mkfifo(pid_file)
    cell = f"import os, signal; print(os.getpid(), file=open({str(pid_file)!r}, 'w')); signal.pause()"
    path = write(tmp_path, "01-try", cell)
    script = f"from labkit import runner; runner.run([__import__('pathlib').Path({str(path)!r})], say=print)"
    runner = subprocess.Popen(
        [sys.executable, "-c", script], cwd=Path(labkit.__file__).parents[1], stderr=subprocess.PIPE
    )
    pid = pid_file.read_text().strip()
    runner.send_signal(signal.SIGINT)
    _, stderr = runner.communicate(timeout=60)
    assert runner.returncode != 0 and b"KeyboardInterrupt" in stderr
    assert not is_running(pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_while_the_kernel_starts_ends_it_and_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    pid_file = tmp_path / "pid"
    os.mkfifo(pid_file)
    argv = ["sh", "-c", f"echo $$ > {pid_file}; exec sleep 600"]  # it never gets ready
    monkeypatch.setattr(lesson, "get_kernel_dict", lambda: {"argv": argv, "display_name": "x", "language": "python"})
    pids: list[str] = []

    def interrupt() -> None:
        pids.append(pid_file.read_text().strip())
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, write(tmp_path, "01-try", "1 + 1"))
    thread.join()
    assert not is_running(pids[0])


def test_solutions_stay_folded_on_the_page(tmp_path: Path) -> None:
    path = write(tmp_path, "01-try", "23")
    notebook = nbformat.read(path, as_version=4)
    fold = "<details><summary>Solutions</summary>\n\n```python\nthe_answer()\n```\n\n</details>"
    notebook.cells.append(nbformat.v4.new_markdown_cell(fold))
    nbformat.write(notebook, path)
    run(tmp_path, path)
    folded = re.search(r"<details><summary>Solutions</summary>(.*?)</details>", page(tmp_path, "01-try"), re.DOTALL)
    assert folded is not None
    assert "the_answer" in folded[1]
