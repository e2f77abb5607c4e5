# SPDX-License-Identifier: Apache-2.0
"""Give damaged texts to everything that reads foreign input: python -m fuzz [INPUTS] [SEED] [TARGET...]

INPUTS in all, shared out by the weights of the targets. An input that raises what it should not, or takes longer than
the limit, is made smaller and kept in `tests/fuzz/corpus/TARGET.txt`; `tests/fuzz/test_fuzz.py` tries it again.
"""

from __future__ import annotations

import resource
import sys
import time

from fuzz.campaign import campaign
from fuzz.targets import TARGETS

MOST_MEMORY_BYTES = 4 << 30


def main(inputs: int, seed: int, names: list[str]) -> int:
    """Print a line per target; return 1 where an input failed."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES,) * 2)  # an input may ask for all memory
    chosen = [target for target in TARGETS if not names or target.name in names]
    whole = sum(target.weight for target in chosen)
    tried, failed, began_s = 0, 0, time.monotonic()
    for target in chosen:
        done = campaign(target, max(1, round(inputs * target.weight / whole)), seed)
        tried, failed = tried + done.inputs, failed + len(done.failures)
        print(
            f"{target.name:<28} {done.inputs:>9} inputs {done.seconds:>8.1f} s {len(done.failures):>3} failures",
            flush=True,
        )
        for text, words in done.failures.items():
            print(f"    {words}\n    {text[:200]!r}", flush=True)
    print(f"{'in all':<28} {tried:>9} inputs {time.monotonic() - began_s:>8.1f} s {failed:>3} failures")
    return int(failed > 0)


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(main(int(given[0]) if given else 1_000_000, int(given[1]) if len(given) > 1 else 1, given[2:]))
