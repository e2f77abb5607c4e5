# SPDX-License-Identifier: Apache-2.0
"""The command `labkit`: one small function a subcommand."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from labkit.classroom.commands import add_commands
from labkit.errors import LabkitError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit status; an error is two lines on stderr."""
    parser = argparse.ArgumentParser(prog="labkit", description="eBPF I/O Lab: measure what Linux does, and see it.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_doctor(commands)
    _add_lessons(commands)
    _add_bench(commands)
    _add_reset(commands)
    _add_new_lesson(commands)
    _add_elsewhere(commands)
    add_commands(commands)
    arguments = parser.parse_args(argv)
    # what setup put next to this Python, such as redis-server, is found however `labkit` was called
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    try:
        return int(arguments.run(arguments))
    except LabkitError as error:
        print(f"labkit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `labkit doctor | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


# "Subparsers" is argparse's own private type; there is no public name for it.
def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "doctor",
        help="show which lessons this machine can run, and how to fix the rest",
        description="Try everything that the lessons need, and print one row for each: ok, missing or refused.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--lesson", metavar="NN", help="only what lesson NN uses, such as 07")
    parser.add_argument("--strict", action="store_true", help="exit with 1 unless every row is ok")
    parser.set_defaults(run=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    from labkit.machine import doctor

    rows = doctor.examine(arguments.lesson)
    if arguments.json:
        print(json.dumps(doctor.as_dict(rows, os.uname().release), indent=2))
    else:
        print(doctor.as_text(rows, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
    return int(arguments.strict and any(row.state != "ok" for row in rows))


def _add_lessons(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "lessons",
        help="execute the lessons without a browser",
        description="Execute every lesson in a fresh kernel; write what a learner would see as HTML, index.html and "
        "summary.json. Exits with 1 if a lesson fails.",
    )
    parser.add_argument("lesson", nargs="*", metavar="NN", help="only these lessons, such as 07")
    parser.add_argument("--quick", action="store_true", help="the smallest sizes that still show the point")
    parser.add_argument("--timeout", type=int, default=300, metavar="S", help="most seconds per cell (default: 300)")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="where the pages go (default: build/lessons)")
    parser.set_defaults(run=_lessons)


def _lessons(arguments: argparse.Namespace) -> int:
    from labkit import runner

    def say(line: str) -> None:
        print(line, flush=True)

    found = runner.find(arguments.lesson)
    outcomes = runner.run(found, to=arguments.to, quick=arguments.quick, timeout_s=arguments.timeout, say=say)
    bad = [outcome.lesson for outcome in outcomes if outcome.status != "ok"]
    say(f"{len(outcomes) - len(bad)} of {len(outcomes)} lessons ran without an error")
    return int(bool(bad))


def _add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "bench",
        help="compare the lab with other tools",
        description="Compare the lab with the tools that you would use instead; write build/bench.json and bench.html.",
    )
    parser.add_argument("name", nargs="?", default="", help="one figure, or how its name begins, such as io.direct")
    parser.set_defaults(run=_bench)


def _bench(arguments: argparse.Namespace) -> int:
    from labkit.machine.folders import repo_folder

    os.chdir(repo_folder())  # the bench is next to the package
    os.execv(sys.executable, [sys.executable, "-m", "bench", arguments.name])


def _add_reset(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "reset",
        help="give you a fresh copy of a lesson; yours is kept",
        description="Put a fresh copy of a lesson in the place of yours, which is kept in the folder kept/ next to it.",
    )
    parser.add_argument("lesson", nargs="*", metavar="NN", help="which lessons, such as 07")
    parser.add_argument("--new", action="store_true", help="only copy lessons that you do not have yet")
    parser.set_defaults(run=_reset)


def _reset(arguments: argparse.Namespace) -> int:
    from labkit.machine import copies

    if not arguments.lesson and not arguments.new:
        raise LabkitError("No lesson was named.", "labkit reset 07")
    for lesson in arguments.lesson:
        copies.find(lesson)  # all are known, before anything is done
    for lesson in arguments.lesson:
        copy, kept = copies.reset(lesson)
        was = f"yours is kept as {kept}" if kept else "there was nothing of yours to keep"
        print(f"{copy} is fresh; {was}")
    if arguments.lesson:
        print("A notebook that is open in the browser: File > Reload Notebook from Disk.")
    for line in copies.hand_out() if arguments.new else []:
        print(line)
    return 0


def _add_new_lesson(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "new-lesson",
        help="make every file of a new lesson, for authors",
        description="Make the notebook, Python, C and tests of a new lesson, and its row in every table. "
        "The lesson runs; its tests fail until it is filled in (see CONTRIBUTING.md).",
    )
    parser.add_argument("number", metavar="NN", help="the next free number")
    parser.add_argument("name", metavar="NAME", help="the stem of its files, such as page-faults")
    parser.add_argument("--title", default="", help="the title of its notebook")
    parser.set_defaults(run=_new_lesson)


def _new_lesson(arguments: argparse.Namespace) -> int:
    from labkit.machine import new_lesson
    from labkit.machine.folders import repo_folder

    for path in new_lesson.make(arguments.number, arguments.name, arguments.title):
        print(path.relative_to(repo_folder()))
    print("Next: git add the new files, then fill in what says so. See CONTRIBUTING.md, A new lesson.")
    return 0


def _add_elsewhere(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "elsewhere",
        usage="labkit elsewhere NAME.c [--kernels K ...] [--define M=V] [--kind KIND] [--limit S] [--fetch]",
        help="load a BPF program on other kernels, under emulation",
        description="Boot each kernel of the cache in an emulated machine, load and attach the program there, and "
        "print the verdicts. One machine at a time, without hardware support: minutes per kernel on a busy machine.",
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="NAME.c", help="the C file, as a %%%%bpf cell has it")
    parser.add_argument("--kernels", nargs="+", default=[], metavar="K", help="5.10 6.1 6.12 backports sid arm64 …")
    parser.add_argument("--define", action="append", default=[], metavar="MACRO=VALUE", help="a macro for clang")
    parser.add_argument("--kind", default="", help="program type of functions whose names do not say it, such as XDP")
    parser.add_argument("--limit", type=float, default=580, metavar="S", help="seconds per kernel (default: 580)")
    parser.add_argument("--fetch", action="store_true", help="first fetch the x86-64 kernels that the cache lacks")
    parser.set_defaults(run=_elsewhere)


def _elsewhere(arguments: argparse.Namespace) -> int:
    from labkit.bpf.elsewhere import plan, trial
    from labkit.running.interrupts import exits_on_sigterm

    if arguments.file is None and not arguments.fetch:
        raise LabkitError("No file was named.", "name it first: labkit elsewhere opens.c --kernels 5.10")
    if not 10 <= arguments.limit <= 3600:
        raise LabkitError(f"--limit is {arguments.limit:g}.", "give 10 to 3600 seconds per kernel")
    flags = {name: value or "1" for name, _, value in (text.partition("=") for text in arguments.define)}
    if arguments.file is not None and not arguments.file.is_file():
        raise LabkitError(f"There is no file {arguments.file}.", "name a C file: labkit elsewhere opens.c")
    if arguments.fetch:
        plan.fetch_missing(arguments.kernels, lambda line: print(line, flush=True))
    if arguments.file is None:
        return 0
    tried = plan.candidates(arguments.kernels)
    found = [trial.check_here(arguments.file, flags, arguments.kind)]
    with exits_on_sigterm():  # so that the machine is switched off
        for answer in trial.answers(
            arguments.file, flags, tried, kind=arguments.kind, limit_s=arguments.limit, progress=_show
        ):
            _show(0.0, "")
            print(f"{answer.kernel}: {answer.verdict}", flush=True)
            found.append(answer)
    print(f"\n{trial.as_text(found)}")
    return 0


def _show(_: float, note: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{note}", end="", file=sys.stderr, flush=True)
