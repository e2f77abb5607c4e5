# SPDX-License-Identifier: Apache-2.0
"""What the kernel reports about a loaded program: bpf(2), BPF_OBJ_GET_INFO_BY_FD; and how often it ran.

The struct is `struct bpf_prog_info` of include/uapi/linux/bpf.h: fields are only ever appended to it, and the kernel
fills as many as it knows.
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import os
from collections.abc import Iterator
from dataclasses import dataclass

from labkit.bpf.bcc import libbcc
from labkit.errors import LabkitError, Missing
from labkit.machine.refusals import who_refused

_BPF_STATS_RUN_TIME = 0  # enum bpf_stats_type


class BpfProgInfo(ct.Structure):
    """struct bpf_prog_info up to `verified_insns` (Linux 5.16)."""

    _fields_ = [
        ("type", ct.c_uint32),
        ("id", ct.c_uint32),
        ("tag", ct.c_uint8 * 8),
        ("jited_prog_len", ct.c_uint32),
        ("xlated_prog_len", ct.c_uint32),
        ("jited_prog_insns", ct.c_uint64),
        ("xlated_prog_insns", ct.c_uint64),
        ("load_time", ct.c_uint64),
        ("created_by_uid", ct.c_uint32),
        ("nr_map_ids", ct.c_uint32),
        ("map_ids", ct.c_uint64),
        ("name", ct.c_char * 16),
        ("ifindex", ct.c_uint32),
        ("gpl_compatible", ct.c_uint32),
        ("netns_dev", ct.c_uint64),
        ("netns_ino", ct.c_uint64),
        ("nr_jited_ksyms", ct.c_uint32),
        ("nr_jited_func_lens", ct.c_uint32),
        ("jited_ksyms", ct.c_uint64),
        ("jited_func_lens", ct.c_uint64),
        ("btf_id", ct.c_uint32),
        ("func_info_rec_size", ct.c_uint32),
        ("func_info", ct.c_uint64),
        ("nr_func_info", ct.c_uint32),
        ("nr_line_info", ct.c_uint32),
        ("line_info", ct.c_uint64),
        ("jited_line_info", ct.c_uint64),
        ("nr_jited_line_info", ct.c_uint32),
        ("line_info_rec_size", ct.c_uint32),
        ("jited_line_info_rec_size", ct.c_uint32),
        ("nr_prog_tags", ct.c_uint32),
        ("prog_tags", ct.c_uint64),
        ("run_time_ns", ct.c_uint64),
        ("run_cnt", ct.c_uint64),
        ("recursion_misses", ct.c_uint64),
        ("verified_insns", ct.c_uint32),
    ]


@dataclass(frozen=True)
class ProgramFacts:
    """What the kernel knows of one loaded program."""

    id: int
    name: str
    bytecode: bytes  # as the verifier left it, 8 bytes an instruction; empty if refused
    machine_code: bytes  # as the JIT made it; empty if there is no JIT or the kernel keeps it to itself
    map_ids: tuple[int, ...]
    verified_instructions: int
    run_count: int  # counted only while `run_statistics` is on
    run_time_ns: int


def query(fd: int, info: BpfProgInfo | None = None) -> BpfProgInfo:
    """Fill `info`, whose pointers may ask for arrays, with what the kernel knows of the program behind `fd`."""
    info = info or BpfProgInfo()
    size = ct.c_uint32(ct.sizeof(info))
    if libbcc().bpf_obj_get_info(fd, ct.byref(info), ct.byref(size)) != 0:
        raise LabkitError(
            f"The kernel gave no information about program {fd}: {os.strerror(ct.get_errno())}.", "run as root"
        )
    return info


def facts(fd: int) -> ProgramFacts:
    """Return what the kernel knows of the program behind a file descriptor."""
    sizes = query(fd)
    machine_code = (ct.c_uint8 * sizes.jited_prog_len)()
    bytecode = (ct.c_uint8 * sizes.xlated_prog_len)()
    map_ids = (ct.c_uint32 * sizes.nr_map_ids)()
    wanted = BpfProgInfo(
        jited_prog_len=sizes.jited_prog_len,
        jited_prog_insns=ct.addressof(machine_code),
        xlated_prog_len=sizes.xlated_prog_len,
        xlated_prog_insns=ct.addressof(bytecode),
        nr_map_ids=sizes.nr_map_ids,
        map_ids=ct.addressof(map_ids),
    )
    info = query(fd, wanted)
    return ProgramFacts(
        id=info.id,
        name=info.name.decode(),
        # the kernel clears the pointer of what it keeps to itself (kernel.kptr_restrict, lockdown)
        bytecode=bytes(bytecode) if info.xlated_prog_insns else b"",
        machine_code=bytes(machine_code) if info.jited_prog_insns else b"",
        map_ids=tuple(map_ids),
        verified_instructions=info.verified_insns,
        run_count=info.run_cnt,
        run_time_ns=info.run_time_ns,
    )


@contextlib.contextmanager
def run_statistics() -> Iterator[None]:
    """Let the kernel count each program's runs and their time while the block runs (BPF_ENABLE_STATS, Linux 5.8)."""
    libbpf = ct.CDLL("libbpf.so.1", use_errno=True)
    fd = libbpf.bpf_enable_stats(_BPF_STATS_RUN_TIME)
    if fd < 0:
        number = ct.get_errno()
        who, fix = who_refused("bpf", number)
        raise Missing(f"Run statistics: bpf(2) was refused ({os.strerror(number)}) {who}.", fix)
    try:
        yield
    finally:
        os.close(fd)  # the kernel switches them off when the last such descriptor is closed
