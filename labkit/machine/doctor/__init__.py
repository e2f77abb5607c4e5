# SPDX-License-Identifier: Apache-2.0
"""What this machine can do of the lessons: one capability, one row, found by trying it.

    >>> for row in examine("09"): print(row.name, row.state, row.reason, row.fix)

`catalogue` is the table; the modules next to it hold the probes, by subject; nothing compares version numbers.
"""

from __future__ import annotations

from labkit.machine.doctor.examination import NAMES, as_dict, examine, lessons_status
from labkit.machine.doctor.rows import Capability
from labkit.machine.doctor.text import as_text, summary

__all__ = ["NAMES", "Capability", "as_dict", "as_text", "examine", "lessons_status", "summary"]
