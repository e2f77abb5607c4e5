# SPDX-License-Identifier: Apache-2.0
"""Which helper functions this kernel lets a kind of program call: tried, not concluded from its release."""

from __future__ import annotations

import errno
import functools

from labkit.machine.doctor.instructions import call
from labkit.machine.doctor.programs import Program, quiet

__all__ = ["GET_ATTACH_COOKIE", "GET_NETNS_COOKIE", "may_call"]

# enum bpf_func_id, include/uapi/linux/bpf.h
GET_NETNS_COOKIE, GET_ATTACH_COOKIE = 122, 174


@functools.cache
def may_call(section: str, helper: int) -> bool:
    """Load a program that calls a helper with its context.

    Where no program can be loaded at all the answer is True: loading the real one says what is missing.

    Parameters
    ----------
    section : the kind of program, as in SEC("…") of a C file for libbpf.
    helper : a number of `enum bpf_func_id`.
    """
    try:
        with quiet(), Program(section, call(helper)):
            return True
    except OSError as error:
        return error.errno != errno.EINVAL
