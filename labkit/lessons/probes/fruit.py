# SPDX-License-Identifier: Apache-2.0
"""A Python program to sample; it follows the protocol of a workload: ready, go, one line of JSON.

By hand: `python3 fruit.py 2`, then write "go".
"""

from __future__ import annotations

import json
import sys
import time


def apple(rounds: int) -> int:
    """Use most of the time."""
    return sum(number * number for number in range(rounds))


def pear(rounds: int) -> int:
    """Use the rest."""
    return max(number % 7 for number in range(rounds))


def main(seconds: float) -> int:
    """Use this many seconds of CPU time; return the number of rounds."""
    rounds, end_s = 0, time.process_time() + seconds
    while time.process_time() < end_s:
        apple(3000)
        pear(1000)
        rounds += 1
    return rounds


if __name__ == "__main__":
    print("ready", flush=True)
    if sys.stdin.readline() == "go\n":
        print(json.dumps({"calls": main(float(sys.argv[1]))}), flush=True)
