# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: a process of a real container, watched from the machine outside, by its process id and by its cgroup."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from container.box import ENGINE, RUN_FLAGS, engine
from witness import strace_sums

from labkit.lessons.your_program import VIEWS
from labkit.lessons.your_program.target import check_target
from labkit.lessons.your_program.watching import look_at
from labkit.machine.cgroups import cgroup_mounts
from labkit.running.progress import silent

pytestmark = [pytest.mark.container, pytest.mark.programs_kept]
PATIENCE_S = 120.0
NAME = f"labkit-test-watch-{os.getpid()}"

# What the image of a small distribution has is a shell and perl. It says itself how often it asked for its CPU time.
WORK = r"""
use IO::Socket::INET; $| = 1;
open(my $before, "<", "/etc/debian_version") or die $!;
print "ready\n"; <STDIN>;
sysread($before, my $version, 3);
open(my $inside, ">", "/tmp/inside") or die $!;
syswrite($inside, "x" x 101) for 1 .. 23;
my $server = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1", LocalPort => 4711) or die $!;
my $client = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => 4711) or die $!;
my $peer = $server->accept or die $!;
for (1 .. 97) { syswrite($client, "y" x 10); sysread($peer, my $got, 10) }
system("cat /etc/passwd /etc/passwd >/dev/null") and die;
my ($asked, $x) = (1, 0); my $end = (times)[0] + 0.4;
while (++$asked && (times)[0] < $end) { $x = sqrt($x + $_) for 1 .. 20000 }
print "$asked\n"; <STDIN>;
"""


@pytest.fixture
def perl(base: str) -> Iterator[subprocess.Popen[str]]:
    """Yield the program in a container, ready to work."""
    words = [*ENGINE, "run", "--rm", "--interactive", "--name", NAME, *RUN_FLAGS, base]
    with subprocess.Popen([*words, "perl", "-e", WORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        try:
            assert it.stdout and it.stdout.readline() == "ready\n"
            yield it
        finally:
            engine("rm", "--force", "--time", "0", NAME, check=False)


def cgroup_of(pid: int) -> Path:
    [path] = re.findall("^0::/(.+)$", Path(f"/proc/{pid}/cgroup").read_text(), re.MULTILINE)
    return cgroup_mounts()[0].folder / path


@pytest.mark.parametrize("by", ["pid", "cgroup"])
def test_calls_files_sockets_and_stacks_of_a_container(perl: subprocess.Popen[str], by: str, tmp_path: Path) -> None:
    pid = int(engine("inspect", "--format", "{{.State.Pid}}", NAME))
    assert os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
    target = check_target(pid, None, None) if by == "pid" else check_target(None, None, str(cgroup_of(pid)))
    asked: list[int] = []

    def work() -> None:
        assert perl.stdin and perl.stdout
        perl.stdin.write("\n")
        perl.stdin.flush()
        asked.append(int(perl.stdout.readline()))

    words = ["strace", "-f", "-c", "-o", str(tmp_path / "sums"), "-p", str(pid)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as strace:
        while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
            assert strace.poll() is None, "strace does not watch"
        found = look_at(target, VIEWS, PATIENCE_S, silent, work)
        strace.send_signal(signal.SIGINT)
    told = strace_sums(tmp_path / "sums")
    ours = {row["call"]: (row["count"], row["errors"]) for row in found["calls"].to_dict("records")}
    for each in (ours, told):
        each.pop("read", None)  # one of them began before
    told.pop("exit_group", None)  # it never returns
    lost = found["calls"].attrs["lost_events"]
    assert ours["times"][0] == asked[0] or lost
    assert ours == told or 0 < sum(count - ours.get(call, (0, 0))[0] for call, (count, _) in told.items()) <= lost

    files, trips = found["files"].set_index("path"), found["tcp"]
    assert (files["writes"]["/tmp/inside"], files["written_bytes"]["/tmp/inside"]) == (23, 23 * 101) or lost
    assert files["written_bytes"]["TCP to 127.0.0.1:4711"] == files["read_bytes"]["TCP from 127.0.0.1"] == 970 or lost
    assert (files["read_bytes"]["/etc/debian_version"], files["opens"]["/etc/passwd"]) == (3, 2) or lost
    assert not Path("/tmp/inside").exists()
    assert 4711 in set(trips["local_port"])
    stacks = found["on_cpu"].set_index("stack")["count"]  # most of perl's own functions have no names
    assert stacks.filter(regex="Perl_").sum() > 0 and stacks.filter(regex=r"Perl_|\[perl\]").sum() > 0.5 * stacks.sum()
    assert "in wait4()" in set(found["waits"]["wait"]) and len(found["off_cpu"]) > 0 and len(found["faults"]) > 0
    perl.communicate("\n")
    assert perl.returncode == 0  # it was not harmed
