# SPDX-License-Identifier: Apache-2.0
"""A probe whose tracing would damage its process is refused, and no other."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.bpf.program import Program
from labkit.bpf.usdt import redzone
from labkit.bpf.usdt.tracer import Usdt, find
from labkit.errors import AttachError
from labkit.running.workload import Workload

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86-64 has a long nop and a red zone")

# keeps the words of its promise: ready, go, JSON; `wrong` counts how often its own values were not what it had written
LEAF = """
#include <stdio.h>
#include <sys/sdt.h>
#undef _SDT_NOP
#define _SDT_NOP .nops 5
__attribute__((noinline)) long leaf(long value)
{
	volatile long kept[2];

	kept[0] = value;
	kept[1] = value + 1;
	DTRACE_PROBE1(test, leaf, value);
	return kept[0] == value && kept[1] == value + 1;
}
int main(void)
{
	char line[8];
	long wrong = 0;

	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 0;
	for (long i = 0; i < 1009; i++)
		wrong += !leaf(i);
	printf("{\\"wrong\\": %ld}\\n", wrong);
	return 0;
}
"""


@pytest.fixture
def leaf(tmp_path: Path) -> Callable[..., Path]:
    """leaf("-mno-red-zone"): compile it with these flags."""

    def make(*flags: str) -> Path:
        (tmp_path / "leaf.c").write_text(LEAF)
        made = tmp_path / "leaf"
        subprocess.run(["cc", "-O2", *flags, "-o", made, tmp_path / "leaf.c"], check=True)
        return made

    return make


@pytest.mark.parametrize(
    ("flags", "uses"),
    [((), True), (("-fno-omit-frame-pointer",), True), (("-mno-red-zone",), False), (("-s",), True)],
)
def test_a_leaf_function_that_keeps_values_below_the_stack_pointer_is_recognised(
    leaf: Callable[..., Path], flags: tuple[str, ...], uses: bool
) -> None:
    binary = leaf(*flags)
    [probe] = find(binary, "test:leaf")
    assert redzone.uses_red_zone(binary, probe.address) is uses


@pytest.mark.bpf
def test_to_trace_it_is_refused_where_the_kernel_writes_calls_and_works_where_not(leaf: Callable[..., Path]) -> None:
    binary = leaf()
    with Program("usdt_count") as program, Usdt(program) as tracer, Workload(binary) as run:
        program.aim(pid=run.pid)
        if redzone.kernel_writes_calls():
            with pytest.raises(AttachError, match="could damage the process") as caught:
                tracer.attach("on_probe", binary, "test:leaf", pid=run.pid)
            assert "-mno-red-zone" in caught.value.fix
        else:
            tracer.attach("on_probe", binary, "test:leaf", pid=run.pid)
        assert run.go()["wrong"] == 0


@pytest.mark.bpf
def test_built_without_a_red_zone_it_is_traced_and_unharmed(leaf: Callable[..., Path]) -> None:
    binary = leaf("-mno-red-zone")
    with Program("usdt_count") as program, Usdt(program) as tracer, Workload(binary) as run:
        program.aim(pid=run.pid)
        tracer.attach("on_probe", binary, "test:leaf", pid=run.pid)
        assert run.go()["wrong"] == 0
        assert program.counters("fired")[0] == 1009


@pytest.mark.bpf
def test_the_trial_tells_what_this_kernel_does_to_an_unguarded_process(
    leaf: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    says = redzone.kernel_writes_calls()
    monkeypatch.setattr(redzone, "check", lambda *_: None)
    binary = leaf()
    with Program("usdt_count") as program, Usdt(program) as tracer, Workload(binary) as run:
        program.aim(pid=run.pid)
        tracer.attach("on_probe", binary, "test:leaf", pid=run.pid)
        assert (run.go()["wrong"] > 0) is says
