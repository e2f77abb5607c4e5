# SPDX-License-Identifier: Apache-2.0
"""Interrupt an experiment at moments drawn by chance: python interrupted.py EXPERIMENT SEED TIMES

After each interrupt the next measurement must be right, and the process must hold what it held before. Prints how many
of the interrupts hit the measurement.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
import warnings

from faults.experiments import EXPERIMENTS, bpf_objects, held, measured_right

from labkit.bpf.shelf import forget_loaded


def main(name: str, seed: int, times: int) -> None:
    """Interrupt and check; an AssertionError says after which interrupt, and what was left or wrong."""
    warnings.simplefilter("ignore")
    moments = random.Random(seed)
    measure = EXPERIMENTS[name][0]
    measured_right(name)
    started_s = time.monotonic()
    measured_right(name)
    lasts_s = time.monotonic() - started_s
    before, hits = held(), 0
    for number in range(times):
        delay_s = moments.uniform(0, lasts_s)
        hits += interrupted(measure, delay_s)
        measured_right(name)
        after = held()
        assert after == before, f"{name}, interrupt {number} (seed {seed}) after {delay_s:.4f} s:\n{before}\n{after}"
    forget_loaded()
    assert bpf_objects() == [], bpf_objects()
    print(hits)


def interrupted(measure: object, delay_s: float) -> bool:
    """Call `measure`, with a SIGINT after a while; return whether it was still running then."""
    main_thread = threading.main_thread().ident or 0
    timer = threading.Timer(delay_s, lambda: signal.pthread_kill(main_thread, signal.SIGINT))
    timer.name = "interrupt"
    is_hit = False
    try:
        timer.start()
        try:
            measure()  # type: ignore[operator]
        except KeyboardInterrupt:
            is_hit = True
        timer.join()
        time.sleep(0.001)  # here, at the latest, a signal that has just been sent is handled
    except KeyboardInterrupt:
        timer.join()
    return is_hit


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
