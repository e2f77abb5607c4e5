# SPDX-License-Identifier: Apache-2.0
"""A Python program that creates garbage, has it collected, and counts the collections.

python3 rubbish.py
"""

import gc

COLLECTIONS = {0: 11, 1: 7, 2: 5}  # generation -> how often


def rubbish(pairs: int) -> None:
    """Leave pairs of objects that refer only to each other: only the collector finds them."""
    for _ in range(pairs):
        one: list[object] = []
        other: list[object] = []
        one.append(other)
        other.append(one)


gc.collect()
gc.disable()  # only our own collections
for generation, times in COLLECTIONS.items():
    for _ in range(times):
        rubbish(1000)
        gc.collect(generation)
told = {"collections": 1 + sum(COLLECTIONS.values()), "by_generation": COLLECTIONS}
