# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: of one and the same run, `watch`, strace, bpftrace and the program itself say the same."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest
from obedient import Obedient
from running_kernel import since
from witness import bpftrace, strace_sums

pytestmark = [pytest.mark.bpf, pytest.mark.programs_kept]

# each lock is held for 30 ms while a thread waits for it: 13 times and 7 times
LOCKS = """
import threading
open("/proc/self/comm", "w").write("locker")
locks = [threading.Lock(), threading.Lock()]
def hold(lock):
    lock.acquire()
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    time.sleep(0.03)
    lock.release()
    thread.join()
    lock.release()
"""
WAITS = "(args->op & 127) == 0 || (args->op & 127) == 6 || (args->op & 127) == 9"
FUTEX = (
    f'tracepoint:syscalls:sys_enter_futex /comm == "locker" && ({WAITS})/ '
    "{ @lock[tid] = (uint64)args->uaddr; @at[tid] = nsecs; } "
    "tracepoint:syscalls:sys_exit_futex /@at[tid]/ { $ns = nsecs - @at[tid]; "
    "@waits[@lock[tid]] = count(); @ns = sum($ns); if ($ns > 15000000) { @long[@lock[tid]] = count(); } "
    "delete(@lock[tid]); delete(@at[tid]); }"
)


def test_the_waits_for_each_lock_are_those_that_bpftrace_sees(obedient: Obedient) -> None:
    obedient(f"exec({LOCKS!r})")
    with bpftrace(FUTEX) as witness:
        frame = obedient.watched("locks", lambda: obedient("[hold(locks[n >= 13]) for n in range(20)]"))
        said = witness.end()
    told = {hex(int(lock)): int(count) for lock, count in re.findall(r"^@waits\[(\d+)\]: (\d+)$", said, re.MULTILINE)}
    assert {row["lock"]: row["count"] for row in frame.to_dict("records")} == told
    # two clocks, read a moment apart at each call: a moment is at most as long as the probes ran in all
    (seen_ns,) = (int(ns) for ns in re.findall(r"^@ns: (\d+)$", said, re.MULTILINE))
    assert frame["total_ns"].sum() == pytest.approx(seen_ns, abs=0.02 * seen_ns + frame["probe_ns"].iloc[0])
    assert {"13", "7"} <= set(re.findall(r"^@long\[\d+\]: (\d+)$", said, re.MULTILINE))


def test_the_calls_are_those_that_strace_counts_meanwhile(obedient: Obedient, tmp_path: Path) -> None:
    words = ["strace", "-f", "-c", "-o", str(tmp_path / "sums"), "-p", str(obedient.process.pid)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as strace:
        while "TracerPid:\t0" in obedient.read("status"):
            assert strace.poll() is None, "strace does not watch"
        order = "[os.getpgid(0) for _ in range(97)], [os.path.exists('/nowhere') for _ in range(23)], open('/dev/null')"
        frame = obedient.watched("calls", lambda: obedient(order)).set_index("call")
        strace.send_signal(signal.SIGINT)
    told = strace_sums(tmp_path / "sums")
    ours = {str(call): (int(row["count"]), int(row["errors"])) for call, row in frame.iterrows()}
    assert told["getpgid"] == (97, 0)
    for each in (ours, told):
        each.pop("read", None)  # the order's own began before
    # from 6.19 on the kernel may skip a probe; each that was skipped is counted
    missing = sum(count - ours.get(call, (0, 0))[0] for call, (count, _) in told.items())
    assert ours == told or (since("6.19") and 0 < missing <= frame.attrs["lost_events"])


def test_the_time_in_a_call_is_what_the_program_measures_around_it(obedient: Obedient) -> None:
    obedient("took = []")
    step = "(time.monotonic_ns(), time.sleep(0.005), time.monotonic_ns())"
    order = f"took += [after - before for before, _, after in [{step} for _ in range(23)]]"
    row = obedient.watched("calls", lambda: obedient(order)).set_index("call").loc["clock_nanosleep"]
    obedient("open('/proc/self/comm', 'w').write(str(sum(took) // 1000))")
    longest_ns = 1000 * (int(obedient.read("comm")) + 1)
    assert row["count"] == 23
    assert 23 * 5e6 <= row["total_ns"] <= longest_ns and 5e6 <= row["max_ns"] < longest_ns - 22 * 5e6
