# SPDX-License-Identifier: Apache-2.0
"""USDT probes are found, attached to and let go; readelf, gdb and the traced process itself are the witnesses."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.bpf.usdt import livecode, uprobe
from labkit.bpf.usdt.tracer import Usdt, find, probes_of, probes_of_process
from labkit.errors import AttachError, BadArgument, LabkitError, Missing
from labkit.machine.doctor import helpers
from labkit.running.workload import Workload, build

# of 64-bit ARM: the trap is `brk #5`, UPROBES_BRK_IMM in arch/arm64/include/asm/brk-imm.h
NOP, TRAP = (b"\x90", b"\xcc") if os.uname().machine == "x86_64" else (b"\x1f\x20\x03\xd5", b"\xa0\x00\x20\xd4")


@pytest.fixture(scope="module")
def app() -> Path:
    return build("usdt_app")


def readelf(binary: Path) -> list[tuple[str, int, int, str]]:
    """Return (probe, address, semaphore, arguments) of each note, as binutils read them."""
    text = subprocess.run(["readelf", "-n", "-W", binary], capture_output=True, text=True, check=True).stdout
    found = re.findall(
        r"Provider: (\S+)\s+Name: (\S+)\s+Location: (\S+), Base: \S+, Semaphore: (\S+)\s+Arguments: ?(.*)", text
    )
    return [(f"{a}:{b}", int(at, 16), int(semaphore, 16), rest.strip()) for a, b, at, semaphore, rest in found]


def same_as_readelf(binary: Path) -> bool:
    ours = [(probe.name, probe.address, probe.semaphore, probe.arguments) for probe in probes_of(binary)]
    return ours == readelf(binary) != []


@pytest.mark.parametrize("name", ["labkit:request_start", "labkit:request_detail", "labkit:loop_guarded"])
def test_a_probe_is_where_readelf_says(app: Path, name: str) -> None:
    assert same_as_readelf(app)
    assert name in {probe.name for probe in probes_of(app)}


def test_the_probes_of_libraries_and_of_python_are_where_readelf_says() -> None:
    libraries = [area.path for area in livecode.mappings(os.getpid()) if "libstdc++" in area.path]
    for binary in {*libraries, os.path.realpath("/usr/bin/python3")}:
        assert same_as_readelf(Path(binary))


def test_a_stripped_program_keeps_its_probes(app: Path, tmp_path: Path) -> None:
    subprocess.run(["strip", "--strip-all", "-o", tmp_path / "app", app], check=True)
    assert [probe.name for probe in probes_of(tmp_path / "app")] == [probe.name for probe in probes_of(app)]


def test_a_probe_in_several_places_is_found_in_all(tmp_path: Path) -> None:
    (tmp_path / "twice.c").write_text(
        "#include <sys/sdt.h>\nint main(int n, char **v) { DTRACE_PROBE1(test, twice, n); "
        'DTRACE_PROBE1(test, twice, "text"); return 0; }\n'
    )
    subprocess.run(["cc", "-O2", "-o", tmp_path / "twice", tmp_path / "twice.c"], check=True)
    assert len({probe.address for probe in find(tmp_path / "twice", "test:twice")}) == 2


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder, app: folder / "nothing", "cannot be read"),
        (lambda folder, app: folder, "cannot be read"),
        (lambda folder, app: Path(shutil.copy("/etc/passwd", folder / "text")), "not a program"),
        (lambda folder, app: Path("/bin/true"), "no USDT probes"),
        (lambda folder, app: _cut(app, folder / "cut", 0.5), "damaged|no USDT probes"),
        (lambda folder, app: _cut(app, folder / "head", 0.0), "damaged"),
        (lambda folder, app: _without_notes(app, folder / "bare"), "no USDT probes"),
    ],
)
def test_a_file_without_probes_says_so(
    app: Path, tmp_path: Path, make: Callable[[Path, Path], Path], told: str
) -> None:
    with pytest.raises(BadArgument, match=told):
        probes_of(make(tmp_path, app))


def _cut(app: Path, made: Path, share: float) -> Path:
    image = app.read_bytes()
    made.write_bytes(image[: max(int(len(image) * share), 40)])
    return made


def _without_notes(app: Path, made: Path) -> Path:
    subprocess.run(["objcopy", "--remove-section=.note.stapsdt", app, made], check=True)
    return made


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("labkit:request_strat", "labkit:request_start"), ("labit:request_done", "labkit:request_done")],
)
def test_a_wrong_name_gets_the_nearest(app: Path, wrong: str, near: str) -> None:
    with pytest.raises(BadArgument, match=f"did you mean '{near}'"):
        find(app, wrong)


def test_the_live_code_is_what_gdb_sees(app: Path) -> None:
    if not shutil.which("gdb"):
        pytest.skip("gdb is not installed")
    [probe] = find(app, "labkit:request_start")
    with Workload("usdt_app") as run:
        address = livecode.address_of(run.pid, app, probe.file_offset)
        ours = livecode.read_memory(run.pid, address, 8)
        told = subprocess.run(
            ["gdb", "-q", "-nx", "-batch", "-p", str(run.pid), "-ex", f"x/8xb {address:#x}"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    assert bytes(int(byte, 16) for byte in re.findall(r"\t0x([0-9a-f]{2})", told)[-8:]) == ours


def test_a_process_that_is_gone_is_told() -> None:
    with Workload("usdt_app") as run:
        pid = run.pid
    with pytest.raises(LabkitError, match=f"Process {pid} is gone"):
        livecode.mappings(pid)
    with pytest.raises(LabkitError, match=f"Process {pid} is gone"):
        livecode.read_memory(pid, 0, 1)


def test_a_file_that_the_process_does_not_run_is_told(app: Path) -> None:
    with pytest.raises(LabkitError, match="does not run"):
        livecode.address_of(os.getpid(), app, 0)


def test_the_probes_of_a_process_include_its_libraries() -> None:
    with Workload("usdt_throw") as run:
        names = {probe.name for probe in probes_of_process(run.pid)}
    assert {"libstdcxx:throw", "libstdcxx:catch", "libstdcxx:rethrow"} <= names


# -- attached ------------------------------------------------------------------------------------


@pytest.mark.bpf
def test_the_nop_becomes_a_trap_and_the_semaphore_rises_and_both_return(app: Path) -> None:
    [probe] = find(app, "labkit:request_detail")
    with Program("usdt_count") as program, Usdt(program) as tracer, Workload("usdt_app") as run:
        before = probe.code_of(run.pid)[0]
        assert before == NOP
        assert probe.semaphore_of(run.pid) == 0
        tracer.attach("on_probe", app, probe.name, pid=run.pid)
        assert probe.code_of(run.pid)[0] != before
        assert probe.code_of(run.pid)[0] == TRAP
        assert probe.semaphore_of(run.pid) == 1
        tracer.detach()
        assert probe.code_of(run.pid)[0] == before
        assert probe.semaphore_of(run.pid) == 0


@pytest.mark.bpf
def test_the_semaphore_stays_up_until_the_last_tracer_has_gone(app: Path) -> None:
    [probe] = find(app, "labkit:request_detail")
    with Program("usdt_count") as program, Usdt(program) as one, Usdt(program) as two, Workload("usdt_app") as run:
        one.attach("on_probe", app, probe.name, pid=run.pid)
        two.attach("on_probe", app, probe.name, pid=run.pid)
        assert probe.semaphore_of(run.pid) > 0
        one.detach()
        assert probe.semaphore_of(run.pid) > 0
        assert probe.code_of(run.pid)[0] != NOP
        two.detach()
        assert probe.semaphore_of(run.pid) == 0
        assert probe.code_of(run.pid)[0] == NOP


@pytest.mark.bpf
def test_another_process_of_the_same_program_keeps_its_nop(app: Path) -> None:
    [probe] = find(app, "labkit:request_detail")
    with (
        Program("usdt_count") as program,
        Usdt(program) as tracer,
        Workload("usdt_app") as traced,
        Workload("usdt_app") as other,
    ):
        tracer.attach("on_probe", app, probe.name, pid=traced.pid)
        assert probe.code_of(traced.pid)[0] != NOP
        assert probe.code_of(other.pid)[0] == NOP
        assert probe.semaphore_of(other.pid) == 0


@pytest.mark.bpf
def test_without_a_pid_every_process_is_attached_to_and_the_aim_decides(app: Path) -> None:
    with (
        Program("usdt_count") as program,
        Usdt(program) as tracer,
        Workload("usdt_app", ["--requests", "23"]) as one,
        Workload("usdt_app", ["--requests", "29"]) as other,
    ):
        program.aim(pid=other.pid)
        tracer.attach("on_probe", app, "labkit:request_start")
        one.go()
        other.go()
        assert program.counters("fired")[0] == 29


JOINED = """
#define _SDT_HAS_SEMAPHORES 1
#include <stdio.h>
#include <sys/sdt.h>
unsigned short test_pass_semaphore __attribute__((section(".probes")));
int main(void)
{
	for (int c; (c = getchar()) != EOF; fflush(stdout)) {
		DTRACE_PROBE(test, pass);
		printf("%d\\n", test_pass_semaphore);
	}
}
"""


@pytest.mark.bpf
def test_a_semaphore_in_the_same_page_of_the_file_as_code_is_read_where_the_program_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "joined.c").write_text(JOINED)
    flags = ["-O2", "-Wl,-z,noseparate-code,-z,norelro,-z,max-page-size=4096"]
    subprocess.run(["cc", *flags, "-o", tmp_path / "joined", tmp_path / "joined.c"], check=True)
    [probe] = find(tmp_path / "joined", "test:pass")
    with (
        Program("usdt_count") as program,
        Usdt(program) as tracer,
        subprocess.Popen([probe.binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as run,
    ):
        assert run.stdin is not None
        assert run.stdout is not None
        tracer.attach("on_probe", probe.binary, probe.name, pid=run.pid)
        run.stdin.write(b"x")
        witness = int(run.stdout.readline())  # the program's own look at its semaphore
        shown = [area for area in livecode.mappings(run.pid) if area.path == str(probe.binary)]
        assert len([area for area in shown if 0 <= probe.semaphore_offset - area.file_offset < 4096]) > 1
        assert (probe.semaphore_of(run.pid), witness) == (1, 1)
        run.stdin.close()


KILLED = """
import sys
from labkit.bpf.program import Program
from labkit.bpf.usdt.tracer import Usdt
binary, pid = sys.argv[1], int(sys.argv[2])
with Program("usdt_count") as program, Usdt(program) as tracer:
    program.aim(pid=pid)
    for probe in ("labkit:request_start", "labkit:request_detail"):
        tracer.attach("on_probe", binary, probe, pid=pid)
    print("attached", flush=True)
    sys.stdin.read()
"""


@pytest.mark.bpf
def test_a_killed_tracer_leaves_the_process_as_it_was_and_running(app: Path) -> None:
    probes = [*find(app, "labkit:request_start"), *find(app, "labkit:request_detail")]
    with Workload("usdt_app", ["--requests", "10000000", "--work-ns", "0", "--interval-us", "100"]) as run:
        command = [sys.executable, "-c", KILLED, str(app), str(run.pid)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tracer:
            assert tracer.stdout is not None
            assert tracer.stdout.readline() == "attached\n"
            run.start()
            assert all(probe.code_of(run.pid)[0] != NOP for probe in probes)
            assert probes[1].semaphore_of(run.pid) == 1
            tracer.send_signal(signal.SIGKILL)
        assert all(probe.code_of(run.pid)[0] == NOP for probe in probes)
        assert probes[1].semaphore_of(run.pid) == 0
        run.stop()
        told = run.result()
    assert told["request_start"] == told["request_done"] > 0


@pytest.mark.bpf
def test_a_process_that_ends_while_it_is_traced_harms_nobody(app: Path) -> None:
    with Program("usdt_count") as program, Usdt(program) as tracer:
        with Workload("usdt_app") as run:
            tracer.attach("on_probe", app, "labkit:request_start", pid=run.pid)
        tracer.detach()


@pytest.mark.bpf
@pytest.mark.parametrize("cookies", ["of this kernel", "of none, as before Linux 5.15"])
def test_all_kinds_of_arguments_arrive(tmp_path: Path, cookies: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if cookies != "of this kernel":
        monkeypatch.setattr(helpers, "may_call", lambda *_: False)
    (tmp_path / "kinds.c").write_text(
        "#include <stdio.h>\n#include <sys/sdt.h>\n"
        "struct request { unsigned long id; unsigned bytes; } request = { 7, 11 };\n"
        "__attribute__((noinline)) void done(unsigned long id, signed char status, unsigned short latency)\n"
        "{ DTRACE_PROBE3(test, done, id, status, latency); }\n"
        'int main(void) { char line[8]; volatile long big = 1L << 40; puts("ready"); fflush(stdout);\n'
        "if (!fgets(line, 8, stdin)) return 0; done(big, -2, 65535); done(3, 127, 1);\n"
        'DTRACE_PROBE3(test, done, 5, -7, 40000); puts("{}"); return 0; }\n'
    )
    subprocess.run(["cc", "-O2", "-o", tmp_path / "kinds", tmp_path / "kinds.c"], check=True)
    with (
        Program("usdt") as program,
        Usdt(program) as tracer,
        RingReader(program, "events", max_events=100) as ring,
        Workload(tmp_path / "kinds") as run,
    ):
        program.aim(pid=run.pid)
        assert len(tracer.attach("on_request_done", tmp_path / "kinds", "test:done", pid=run.pid, reads=3)) >= 2
        run.go()
        tracer.detach()
        ring.stop()
        rows = [(int(row["request"]), int(row["status"]), int(row["latency_ns"])) for row in ring.records()]
    assert rows == [(1 << 40, -2, 65535), (3, 127, 1), (5, -7, 40000)]


@pytest.mark.bpf
@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"name": "labkit:request_strat"}, BadArgument, "did you mean 'labkit:request_start'"),
        ({"pid": 4194999}, BadArgument, "pid=4194999"),
        ({"reads": 4}, AttachError, "has 3 arguments, not 4"),
        ({"function": "on_requst_start"}, BadArgument, "did you mean 'on_request_start'"),
        ({"binary": "/bin/true"}, BadArgument, "no USDT probes"),
    ],
)
def test_a_wrong_attachment_is_named(app: Path, change: dict[str, object], error: type[LabkitError], told: str) -> None:
    with Program("usdt") as program, Usdt(program) as tracer, Workload("usdt_app") as run:
        right = {"function": "on_request_start", "binary": app, "name": "labkit:request_start", "pid": run.pid}
        with pytest.raises(error, match=told) as caught:
            tracer.attach(**{**right, **change})  # type: ignore[arg-type]
        assert caught.value.fix


@pytest.mark.bpf
def test_an_argument_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "float.c").write_text(
        "#define STAP_SDT_ARG_CONSTRAINT norx\n#include <sys/sdt.h>\n"
        "int main(int n, char **v) { DTRACE_PROBE1(test, real, n * 0.5); return 0; }\n"
    )
    subprocess.run(["cc", "-O2", "-o", tmp_path / "float", tmp_path / "float.c"], check=True)
    if all(operand.is_readable for operand in find(tmp_path / "float", "test:real")[0].operands):
        pytest.skip("this compiler keeps the number where it can be read")
    with Program("usdt") as program, Usdt(program) as tracer:
        with pytest.raises(AttachError, match=r"argument 1 is at .*, which cannot be read"):
            tracer.attach("on_request_done", tmp_path / "float", "test:real", reads=1)


@pytest.mark.bpf
def test_a_kernel_without_uprobes_is_told(app: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(uprobe, "SOURCE", tmp_path)
    with Program("usdt_count") as program, Usdt(program) as tracer:
        with pytest.raises(Missing, match="no uprobes"):
            tracer.attach("on_probe", app, "labkit:request_start")


@pytest.mark.bpf
def test_it_works_inside_a_pid_namespace(app: Path) -> None:
    code = (
        "from labkit.bpf.program import Program\nfrom labkit.bpf.usdt.tracer import Usdt\n"
        "from labkit.running.workload import Workload, build\n"
        "with Program('usdt_count') as program, Usdt(program) as tracer, Workload('usdt_app') as run:\n"
        "    assert run.pid < 100\n"
        "    program.aim(pid=run.pid)\n"
        "    tracer.attach('on_probe', build('usdt_app'), 'labkit:request_start', pid=run.pid)\n"
        "    run.go()\n"
        "    print(program.counters('fired')[0])\n"
    )
    made = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.stdout.strip() == "23", made.stderr
