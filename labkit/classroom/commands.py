# SPDX-License-Identifier: Apache-2.0
"""The commands of a class: `labkit hand-in`, `collect`, `grade`, `atlas`. What they do is imported when they run."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_commands"]


# "Subparsers" is argparse's own private type; there is no public name for it.
def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands of a class to `labkit`."""
    _add_hand_in(commands)
    _add_collect(commands)
    _add_grade(commands)
    _add_atlas(commands)


def _add_hand_in(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "hand-in",
        help="make the archive that you hand in to your teacher",
        description="Write NAME.tar.gz: your notebooks, progress, predictions, a few frames that the lessons kept, "
        "what machine this is, and checksums. Nothing is measured or executed.",
    )
    parser.add_argument("name", metavar="NAME", help='your name, as your teacher knows it: "Ada Lovelace"')
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="where the archive goes (default: here)")
    parser.set_defaults(run=_hand_in)


def _hand_in(arguments: argparse.Namespace) -> int:
    from labkit.classroom.hand_in import hand_in

    made = hand_in(arguments.name, arguments.to)
    print(f"{made.path}: {made.files} files, {made.solved} exercises solved\nSHA-256: {made.sha256}")
    return 0


def _add_collect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "collect",
        help="for teachers: unpack handed-in archives into a class folder",
        description="Unpack archives of labkit hand-in, each into a folder of its learner's name. A bad archive is "
        "named, and the others go on; the exit status is 1 if there was one.",
    )
    parser.add_argument("archive", nargs="+", type=Path, metavar="ARCHIVE", help="archives, or folders of them")
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="the class folder")
    parser.set_defaults(run=_collect)


def _collect(arguments: argparse.Namespace) -> int:
    from labkit.classroom.collect import collect

    archives = [
        path for given in arguments.archive for path in (sorted(given.glob("*.tar.gz")) if given.is_dir() else [given])
    ]
    collected = collect(archives, arguments.to)
    for each in collected:
        print(each.line)
    return int(any(each.folder is None for each in collected))


def _add_grade(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "grade",
        help="for teachers: execute the learners' notebooks again and judge their answers",
        description="Grade a class folder (a folder per learner, or archives of labkit hand-in) with fresh secrets, in "
        "a throw-away virtual machine. Writes graded/, grades.csv (for Canvas and Moodle) and grades.html. What was "
        "graded stays as it is.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the class folder")
    parser.add_argument("--lesson", nargs="+", default=[], metavar="NN", help="only these lessons, such as 01")
    parser.add_argument("--again", action="store_true", help="grade what was graded before, too")
    parser.add_argument(
        "--timeout", type=int, default=600, metavar="S", help="seconds per notebook on a quiet machine (default: 600)"
    )
    parser.add_argument("--kernel", type=Path, metavar="FILE", help="the kernel image of the virtual machine")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--in-container", action="store_true", help="in namespaces on this kernel: quicker, less safe")
    where.add_argument(
        "--on-this-machine-as-root", action="store_true", help="with nothing around it: strangers' BPF on this machine"
    )
    parser.set_defaults(run=_grade)


def _grade(arguments: argparse.Namespace) -> int:
    from labkit.classroom import places, report
    from labkit.classroom.grading import grade
    from labkit.running.interrupts import exits_on_sigterm

    def say(line: str) -> None:
        print(line, flush=True)

    place = places.CONTAINER if arguments.in_container else places.VM
    with exits_on_sigterm():
        results = grade(
            arguments.folder,
            place=places.BARE if arguments.on_this_machine_as_root else place,
            wanted=arguments.lesson,
            again=arguments.again,
            seconds=arguments.timeout,
            kernel=arguments.kernel,
            say=say,
        )
        for path in report.write(arguments.folder, results):
            say(str(path))
    return 0


def _add_atlas(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "atlas",
        help="for teachers: the measurements of all machines of a class in one picture",
        description="Draw one plot per kept frame, a line per machine, from the folders of a class folder; write "
        "atlas.html there. Outliers are named.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the class folder")
    parser.add_argument("--colour", default="disk", metavar="BY", help="disk, kernel or cpu (default: disk)")
    parser.set_defaults(run=_atlas)


def _atlas(arguments: argparse.Namespace) -> int:
    from labkit.classroom import atlas

    print(atlas.write(arguments.folder, colour=arguments.colour))
    return 0
