# SPDX-License-Identifier: Apache-2.0
"""An interrupt within the block takes effect at its end, and only there."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from labkit.running.interrupts import uninterrupted


def test_the_block_comes_to_its_end_first() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        done = True
    assert done


def test_of_nested_blocks_the_outer_one_comes_to_its_end() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
        done = True
    assert done


def test_it_takes_effect_after_an_exception_too() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, uninterrupted():
        signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError
    assert isinstance(caught.value.__context__, ZeroDivisionError)


def test_afterwards_interrupts_are_handled_as_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with uninterrupted():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_other_threads_leave_signals_alone() -> None:
    seen = []

    def look() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


def test_a_handler_that_is_not_pythons_stays() -> None:
    """A program in C that has Python inside may have set one: Python cannot name it, so could not put it back."""
    code = (
        "import ctypes, signal\n"
        "from labkit.running.interrupts import uninterrupted\n"
        "noted = []\n"
        "note = ctypes.CFUNCTYPE(None, ctypes.c_int)(noted.append)\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.signal(2, note)\n"
        "signal.getsignal = lambda number: None  # what Python says where the handler was there before it\n"
        "with uninterrupted():\n"
        "    libc['raise'](2)\n"
        "assert noted == [2]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
