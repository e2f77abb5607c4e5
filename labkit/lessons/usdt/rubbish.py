# SPDX-License-Identifier: Apache-2.0
"""A Python program that makes rubbish and has it collected, so often as it counts.

python3 rubbish.py
"""

import gc

COLLECTIONS = {0: 11, 1: 7, 2: 5}  # generation -> how often


def rubbish(pairs: int) -> None:
    """Leave pairs of objects that know each other and are known to nobody else: only the collector finds them."""
    for _ in range(pairs):
        one: list[object] = []
        other: list[object] = []
        one.append(other)
        other.append(one)


gc.collect()
gc.disable()  # no collections but ours
for generation, times in COLLECTIONS.items():
    for _ in range(times):
        rubbish(1000)
        gc.collect(generation)
told = {"collections": 1 + sum(COLLECTIONS.values()), "by_generation": COLLECTIONS}
