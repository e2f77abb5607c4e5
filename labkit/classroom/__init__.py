# SPDX-License-Identifier: Apache-2.0
"""For a class: hand in, collect, grade, and one picture of many machines. docs/grading.md has the protocol."""

from __future__ import annotations
