# SPDX-License-Identifier: Apache-2.0
"""Compile and load one program with BCC, and print one JSON line on how it went. Run by the doctor's row `bcc`."""

from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from labkit.errors import Missing
from labkit.machine.bcc import impostor, load_bcc
from labkit.machine.doctor.rows import Finding, from_error, from_lab_error, missing, ok, package

_SOURCE = "int labkit_doctor(void *ctx) { return 0; }"


def trial() -> Finding:
    """Return what became of it."""
    try:
        module = load_bcc()
    except Missing as error:
        return from_lab_error(error)
    except OSError as error:
        return from_error(error)
    which = f"{module.__version__} in {Path(module.__file__ or '').parent.resolve()}"
    try:
        program = module.BPF(text=_SOURCE)
    except Exception as error:  # BCC raises a bare Exception; clang has said more on stderr
        return missing(f"{which} cannot compile: {error}", package("python3-bpfcc", "libbpfcc"))
    try:
        program.load_func("labkit_doctor", module.BPF.RAW_TRACEPOINT)
    except Exception as error:
        # BCC does not pass errno on; its words for EPERM differ between releases
        denied = any(word in str(error) for word in ("privileges", "not permitted"))
        number = errno.EPERM if denied else errno.EINVAL
        found = from_error(OSError(number, os.strerror(number), "loading a program"))
        return Finding(found.state, f"{which} compiles; {found.reason}", found.fix)
    version = impostor()
    warning = f"; beware, PyPI's unrelated bcc {version} is installed too" if version else ""
    return ok(f"{which} compiled and loaded a program{warning}")


if __name__ == "__main__":
    json.dump(asdict(trial()), sys.stdout)
