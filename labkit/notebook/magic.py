# SPDX-License-Identifier: Apache-2.0
"""`%%bpf`: write BCC C in a cell, and get the verifier's verdict, or an attached program by name.

    %load_ext labkit

    %%bpf opens
    BPF_HASH(counts, u32, u64);
    TRACEPOINT_PROBE(syscalls, sys_enter_openat) { ... }

    opens.hash("counts")                # a labkit.bpf.cell.Cell

Outside notebooks the same is `with labkit.bpf.cell.Cell(path) as opens: opens.attach()`.

Errors name the cell as NAME.c, and its lines as the notebook counts them: the line of the magic is the first.
"""

from __future__ import annotations

import argparse
import difflib
import keyword
import re
import shlex
import tempfile
from pathlib import Path
from typing import NoReturn

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class

from labkit.bpf import bcc, proginfo
from labkit.bpf.diagnose import refused
from labkit.bpf.diagnose.code import Code
from labkit.bpf.load import prefix_of
from labkit.bpf.shelf import SHELF
from labkit.bpf.structures import structures_of
from labkit.bpf.verifier import explain
from labkit.errors import BadArgument, CompileError, Missing, VerifierError, bad_argument
from labkit.notebook.cell import NotebookCell
from labkit.notebook.live import Live
from labkit.notebook.refused import Refused
from labkit.notebook.render import Rendered, note
from labkit.notebook.verdict_box import verdict_box
from labkit.running.interrupts import uninterrupted

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

KINDS = ("KPROBE", "TRACEPOINT", "PERF_EVENT", "SOCKET_FILTER", "SCHED_CLS", "XDP", "SK_MSG", "SOCK_OPS", "CGROUP_SKB")
_WHAT_IT_CAN = """Then NAME is the program (labkit.bpf.cell.Cell):
  NAME.aim(pid=...)        whom it watches; cgroup=FOLDER, everybody=True; clear=True empties the maps first
  NAME.events("events")    the records of a ring buffer or perf buffer: a DataFrame, a column per C field;
                           of="TYPE" chooses, where several C types are sent to one buffer
  NAME.map("counts")       any map: a DataFrame, a column per field of key and value; per_cpu=True: each CPU
  NAME.hash("counts")      a hash as a dict; NAME.counters("array") an array as NumPy
  NAME.stream("events")    the same live, with Stop; for maps too
  NAME.losses()            what the kernel refused: map, cause, count, fix
  NAME.set("counts", key, value), NAME.clear("counts"), NAME.clear()
  NAME.price(seconds=1)    runs, time per run, share of one CPU, lost events
  NAME.walk()              steps through the verifier's log, after a refusal too
  NAME.attach(), NAME.detach()
A buffer's records need a C type: NAME.ringbuf_output(&event, sizeof(event), 0), outside of any #define."""


class _Parser(argparse.ArgumentParser):
    """An argparse that raises the lab's error, with the nearest option, instead of leaving."""

    def error(self, message: str) -> NoReturn:
        known = [option for action in self._actions for option in action.option_strings]
        wrong = re.search(r"(--?[\w-]+)", message.partition("arguments:")[2])
        near = difflib.get_close_matches(wrong[1], known, n=1) if wrong else []
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise BadArgument(f"%%bpf: {message}{hint}.", f"options: {' '.join(known)}; what they do: %bpf --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="%%bpf",
        description="Compile, load and attach the BCC C of this cell.",
        epilog=_WHAT_IT_CAN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    add = parser.add_argument
    add("name", nargs="?", default="program", metavar="NAME", help="the Python name of the program (default: program)")
    add("--help", action="store_true", help="print this and do nothing else")
    add("--no-attach", dest="attach", action="store_false", help="load only; NAME.attach() attaches")
    add("--attach", dest="attach", action="store_true", default=True, help="attach what says where (the default)")
    add("--pid", type=int, action="append", metavar="N", help="watch this process; may be given several times")
    add("--cgroup", type=Path, metavar="FOLDER", help="watch the processes of this cgroup")
    add("--everybody", action="store_true", help="watch every process of the machine")
    add("--kind", choices=KINDS, metavar="KIND", help=f"program type of other functions: {', '.join(KINDS)}")
    add("--function", action="append", metavar="F", help="load only these of the other functions, as --kind says")
    add("--define", action="append", default=[], metavar="MACRO=VALUE", help="a macro for clang; several times")
    add("--show-log", action="store_true", help="show the verifier's raw log too")
    return parser


@magics_class
class BpfMagics(Magics):  # type: ignore[misc]
    """The cell magic, and the programs that its cells hold."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._programs: dict[str, NotebookCell] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="labkit-cells-")

    @line_cell_magic  # type: ignore[untyped-decorator]
    def bpf(self, line: str, cell: str = "") -> Rendered | Live | None:
        """Compile, load and attach the BCC C of this cell: `%%bpf NAME`; `%bpf --help` lists the options.

        NAME is then the program: NAME.aim(pid=...), NAME.events("buffer") and NAME.map("map") are DataFrames,
        NAME.stream("buffer") is a live table, NAME.losses() lists what the kernel refused, NAME.set("map", key, value)
        and NAME.clear("map") write, NAME.price() is what it costs, NAME.detach() ends it.
        """
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise BadArgument(f"%%bpf: the options cannot be read: {error}.", "close the quotation marks") from None
        options = _parser().parse_args(words)
        if options.help:
            print(_parser().format_help())
            return None
        self._check_name(options.name)
        self.close(options.name)
        flags = dict(_macro(text) for text in options.define)
        if not cell.strip():  # IPython itself refuses a cell without any line below the magic's
            raise BadArgument("The cell is empty.", f"write BCC C below the line of %%bpf {options.name}, and run it")
        path = Path(self._folder.name) / f"{options.name}.c"
        path.write_text(f"// %%bpf {' '.join(line.split())}\n{cell}", encoding="utf-8")
        try:
            if shown := self._load_counted(path, flags, options):
                return shown
            return self._load(NotebookCell(path, flags=flags, count_losses=False), options)
        except VerifierError as error:
            self.shell.user_ns[options.name] = Refused(options.name, error, path.read_text(encoding="utf-8"))
            walked = f"Step through what the verifier did: {options.name}.walk()" if error.lines else ""
            return verdict_box(error, show_log=options.show_log, hint=walked)
        except Missing as error:  # this machine's lack is no mistake of the learner's: the cells below still run
            self.shell.user_ns[options.name] = Refused(options.name, error, cell)
            return note("warning", str(error).splitlines())

    @uninterrupted()
    def close(self, name: str) -> None:
        """Detach and forget what an earlier cell loaded under this name."""
        program = self._programs.pop(name, None)
        held = self.shell.user_ns.get(name)
        if held is not None and (held is program or isinstance(held, Refused)):
            del self.shell.user_ns[name]
        if program is not None:
            program.__exit__()

    def close_all(self) -> None:
        """Detach and forget everything."""
        for name in list(self._programs):
            self.close(name)

    def _check_name(self, name: str) -> None:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise bad_argument("NAME", name, "a Python name, such as opens")
        held = self.shell.user_ns.get(name)
        if held is not None and held is not self._programs.get(name) and not isinstance(held, Refused):
            raise BadArgument(
                f"{name} is already the name of something else ({type(held).__name__}).",
                f"choose another name: %%bpf my_{name}",
            )

    def _load_counted(self, path: Path, flags: dict[str, str], options: argparse.Namespace) -> Rendered | Live | None:
        """Load the cell with its losses counted; None where it does not compile so.

        The cell as it is decides whether it is right: a VerifierError explains it without what was added.
        """
        program = NotebookCell(path, flags=flags)
        if program.rewritten is program.source:
            return None
        if program.rewritten.key not in SHELF and explain.refused_by_clang(program.rewritten) is not None:
            return None
        try:
            return self._load(program, options, is_rehearsed=True)
        except CompileError:
            return None

    def _load(
        self, program: NotebookCell, options: argparse.Namespace, *, is_rehearsed: bool = False
    ) -> Rendered | Live:
        is_known = is_rehearsed or program.source.key in SHELF  # what was compiled here before ends no process
        kind = bcc.program_type(options.kind) if options.kind else 0
        told = None if is_known else explain.refused_by_clang(program.source, kind)
        if told is not None:
            raise told.error()
        with uninterrupted():  # attached, it has a name by which the next cell can detach it
            program.__enter__()
            try:
                loaded = self._load_functions(program, options)
                self._aim(program, options)
                if options.attach:
                    program.attach()
            except BaseException:
                program.__exit__()
                raise
            self._programs[options.name] = self.shell.user_ns[options.name] = program
        report = _report(program, options, loaded)
        return program.box(report) if options.attach and any(map(prefix_of, loaded)) else report

    def _load_functions(self, program: NotebookCell, options: argparse.Namespace) -> dict[str, int]:
        """Load the functions whose names do not say what they are, as --kind says; return all, by name."""
        named = [function for function in program.functions if prefix_of(function)]
        others = [function for function in program.functions if function not in named]
        if options.kind is None and (options.function or not named):
            what = f"the functions {', '.join(others)} do not" if others else "there is no function that may"
            raise BadArgument(
                f"The cell has no probe: {what} say where to attach.",
                "begin a function with TRACEPOINT_PROBE(category, event), or say --kind SOCKET_FILTER or another",
            )
        loaded = program.load()
        if options.kind is not None:
            for function in options.function or others:
                loaded[function] = program.load_function(function, options.kind)
        return loaded

    def _aim(self, program: NotebookCell, options: argparse.Namespace) -> None:
        wanted = {"pid": options.pid, "cgroup": options.cgroup, "everybody": options.everybody or None}
        given = {name: value for name, value in wanted.items() if value is not None}
        if given and "labkit_target" not in program.map_names:
            raise BadArgument(
                f"--{next(iter(given))} has nothing to aim: the program does not ask whom it watches.",
                'add #include "labkit.h", and in the probe: if (!labkit_is_target()) return 0;',
            )
        if given:
            program.aim(**given)


def _macro(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name.isidentifier():
        raise bad_argument("--define", text, "MACRO=VALUE, such as STEP=2")
    return name, value or "1"


def _report(program: NotebookCell, options: argparse.Namespace, loaded: dict[str, int]) -> Rendered:
    """Say what was loaded, where it is attached, and what is still to be done."""
    attached = [each.removeprefix(named).replace("__", ":", 1) for each in loaded if (named := prefix_of(each))]
    walked = sum(proginfo.facts(fd).verified_instructions for fd in loaded.values())
    lines = [
        f"{options.name}: accepted"
        + (f" and attached to {', '.join(attached)}." if attached and options.attach else "."),
        f"The verifier walked through {walked} instructions." if walked else "",
    ]
    if not options.attach and attached:
        lines.append(f"Not attached yet: {options.name}.attach()")
    aimed = options.pid or options.cgroup or options.everybody
    if "labkit_target" in program.map_names and not aimed:
        lines.append(f"It watches no process yet: {options.name}.aim(pid=…)")
    lines += [
        f"Line {found.line}: {found.what}. {found.fix[:1].upper()}{found.fix[1:]}".strip()
        for found in refused.remarks(program.warnings, str(program.path), Code(program.path.read_text("utf-8")))
    ]
    if (found := structures_of(program.path.read_text("utf-8"))) and found.declarations:
        names = ", ".join(f"struct {name}" for name in found.names)
        lines.append(f"This kernel's own layout is used for {names} (the headers are those of {found.headers}).")
    told = note("ok", lines)
    if options.show_log:
        log = "\n".join(program.verifier_log(function) for function in loaded)
        return Rendered(f"{told.text}\n\n{log}", told.html + note("note", log.splitlines()).html)
    return told


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Make `%%bpf` known to IPython (`%load_ext`); loading it again detaches what the cells held."""
    unload_ipython_extension(shell)
    shell.register_magics(BpfMagics(shell))


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Detach what the cells hold."""
    magics = shell.magics_manager.registry.get(BpfMagics.__name__)
    if magics is not None:
        magics.close_all()
