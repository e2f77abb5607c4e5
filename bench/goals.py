# SPDX-License-Identifier: Apache-2.0
"""Every figure of the bench in one table: what is divided by what, and what the ratio should be."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GOALS", "Goal"]

HIGHER, LOWER = "higher", "lower"


@dataclass(frozen=True)
class Goal:
    """What one ratio is of, which way is better, and its bound: a number, a range, or None where it is only stated."""

    unit: str
    better: str
    bound: float | tuple[float, float] | None = None

    def met(self, low: float, high: float) -> bool | None:
        """Return whether the whole interval is as good as it should be; None where there is no bound."""
        if self.bound is None:
            return None
        if isinstance(self.bound, tuple):
            return bool(self.bound[0] <= low and high <= self.bound[1])
        return bool(low >= self.bound if self.better == HIGHER else high <= self.bound)

    def near(self, low: float, high: float) -> bool:
        """Return whether a bound lies inside the interval: then another run may come to another verdict."""
        bounds = self.bound if isinstance(self.bound, tuple) else (self.bound,)
        return any(bound is not None and low < bound < high for bound in bounds)

    def __str__(self) -> str:
        if self.bound is None:
            return "stated"
        if isinstance(self.bound, tuple):
            return f"{self.bound[0]:g} to {self.bound[1]:g}"
        return f"{'≥' if self.better == HIGHER else '≤'} {self.bound:g}"


_EQUAL = (0.97, 1.03)

GOALS: dict[str, Goal] = {
    "io.direct.qd32.io_uring": Goal("I/Os per second, lab / fio", HIGHER, 0.99),
    "io.direct.qd32.libaio": Goal("I/Os per second, lab / fio", HIGHER, 0.99),
    "io.direct.qd1.sync": Goal("I/Os per second, lab / fio", HIGHER, 0.99),
    "io.warm.4k.io_uring": Goal("I/Os per second, lab / fio", HIGHER, 1.20),
    "io.warm.4k.sync": Goal("I/Os per second, lab / fio", HIGHER, 1.15),
    "io.loop": Goal("reads per second, the lab's timed loop / a bare loop", HIGHER, 0.92),
    "io.loop.untimed": Goal("reads per second, the lab's loop without time stamps / a bare loop", HIGHER, 0.98),
    "io.timing_cost": Goal("I/Os per second, each timed / none timed", HIGHER, 0.97),
    "io.cpu_per_io": Goal("CPU time per I/O, lab / fio", LOWER, 0.85),
    "io.p50_vs_fio": Goal("median latency, lab / fio", LOWER, _EQUAL),
    "io.p99_vs_fio": Goal("99th percentile of latency, lab / fio", LOWER, _EQUAL),
    "trace.slowdown.direct": Goal("median time of a read, traced / untraced", LOWER, 1.02),
    "trace.slowdown.warm": Goal("median time of a read, traced / untraced", LOWER, 1.30),
    "trace.bystander": Goal("getppid() of a process that is not watched, with / without the timer", LOWER, 1.30),
    "trace.bystander.raw": Goal("the same, with the timer on raw tracepoints instead", LOWER),
    "trace.cost_vs_bpftrace": Goal("median time added to a call, lab / bpftrace", LOWER, 0.50),
    "trace.cost_vs_bcc_stock": Goal("median time added to a call, lab / BCC's trace", LOWER, 0.25),
    "trace.closure": Goal("time, traced stages and the way around them / as the program measured it", HIGHER, _EQUAL),
    "events.rate_vs_bcc": Goal("events per second into a DataFrame, lab / BCC's callback", HIGHER, 25),
    "events.sustained": Goal("events, delivered / produced at 1 M/s for 10 s", HIGHER, 1.0),
    "sockmap.rtt.same.64": Goal("round trip of 64 B on one CPU, TCP / sockmap", HIGHER, 1.7),
    "sockmap.rtt.same.65536": Goal("round trip of 64 KiB on one CPU, TCP / sockmap", HIGHER, 2.0),
    "sockmap.rtt_vs_unix.same.64": Goal("round trip of 64 B on one CPU, sockmap / Unix socket", LOWER, 0.85),
    "sockmap.redis": Goal("Redis requests per second on one CPU, with / without sockmap", HIGHER),
    "serve.wrk": Goal("requests per second by wrk on one CPU, the lab's epoll server / nginx", HIGHER, 1.0),
    "serve.wrk.cross": Goal("the same, with wrk on another CPU", HIGHER, 1.0),
    "serve.uring": Goal("requests per second of 256 connections on one CPU, multishot / epoll", HIGHER),
    "serve.uring.cross": Goal("the same, with the clients on another CPU", HIGHER),
    "ui.rerun.06": Goal("time, (lesson 06's cell run to plot - window) / window of 1 s", LOWER, 0.5),
    "ui.rerun.07": Goal("the same, lesson 07", LOWER, 0.5),
    "ui.rerun.09": Goal("the same, lesson 09", LOWER, 0.5),
    "ui.compile": Goal("time to load a program, first run / rerun", HIGHER, 10),
    "cell.refused": Goal("time, a %%bpf cell that is refused, to its explanation and tried fix / 1 s", LOWER, 1.5),
    "cell.accepted": Goal("time, a small %%bpf cell that is accepted / 1 s", LOWER, 1.0),
    "cell.rerun": Goal("time, the same cell again / 1 s", LOWER, 0.3),
    "cell.socket": Goal("time, a %%bpf cell that includes <net/sock.h> / 1 s", LOWER, 4.0),
    "frames.growth": Goal("CPU time per event into a DataFrame, 10^7 events / 10^5", LOWER, 1.5),
    "trial.coverage": Goal("simulated intervals that hold the truth / all", HIGHER, (0.93, 0.97)),
    "trial.width": Goal("half-width of the 95 % interval of A/A after 30 s", LOWER, 0.03),
}
