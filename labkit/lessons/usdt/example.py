# SPDX-License-Identifier: Apache-2.0
"""The Python program that lesson 05 observes: it prices some orders, and counts its own calls.

python3 example.py [ORDERS]
"""

import sys
from collections import Counter

calls: Counter[str] = Counter()


def price(order: int) -> int:
    calls["price"] += 1
    return sum(item(order, number) for number in range(3))


def item(order: int, number: int) -> int:
    calls["item"] += 1
    return tax(order * number)


def tax(net: int) -> int:
    calls["tax"] += 1
    return net * 119 // 100


def discount(level: int) -> int:
    """Call itself once for each level below."""
    calls["discount"] += 1
    return 1 if level == 0 else 1 + discount(level - 1)


def shop(orders: int) -> int:
    calls["shop"] += 1
    return sum(price(order) for order in range(orders)) - discount(7)


shop(int(sys.argv[1]) if len(sys.argv) > 1 else 13)
told = {"calls": calls}
