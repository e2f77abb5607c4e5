"""The functions of libbcc that the engine calls itself, with their C types.

A handle of our own: ctypes keeps argument types per handle, and those of the `bcc` package must stay as they are.
"""

from __future__ import annotations

import ctypes as ct
from functools import cache

from labkit.machine import bcc as distribution

_TYPES: dict[str, tuple[object, list[object]]] = {
    # a compiled module (an opaque pointer): its functions and maps by index or name
    "bpf_num_functions": (ct.c_size_t, [ct.c_void_p]),
    "bpf_function_name": (ct.c_char_p, [ct.c_void_p, ct.c_size_t]),
    "bpf_num_tables": (ct.c_size_t, [ct.c_void_p]),
    "bpf_table_name": (ct.c_char_p, [ct.c_void_p, ct.c_size_t]),
    "bpf_table_fd": (ct.c_int, [ct.c_void_p, ct.c_char_p]),
    "bpf_perf_event_fields": (ct.c_size_t, [ct.c_void_p, ct.c_char_p]),
    "bpf_perf_event_field": (ct.c_char_p, [ct.c_void_p, ct.c_char_p, ct.c_size_t]),
    # bpf(2), by file descriptor; each returns 0, or -1 with errno
    "bpf_obj_get_info": (ct.c_int, [ct.c_int, ct.c_void_p, ct.c_void_p]),
    "bpf_lookup_elem": (ct.c_int, [ct.c_int, ct.c_void_p, ct.c_void_p]),
    "bpf_update_elem": (ct.c_int, [ct.c_int, ct.c_void_p, ct.c_void_p, ct.c_ulonglong]),
    "bpf_delete_elem": (ct.c_int, [ct.c_int, ct.c_void_p]),
    "bpf_get_first_key": (ct.c_int, [ct.c_int, ct.c_void_p, ct.c_size_t]),
    "bpf_lookup_batch": (ct.c_int, [ct.c_int] + [ct.c_void_p] * 5),
    "bpf_update_batch": (ct.c_int, [ct.c_int] + [ct.c_void_p] * 3),
    # libbpf's reader of ring buffers
    "bpf_new_ringbuf": (ct.c_void_p, [ct.c_int, ct.c_void_p, ct.c_void_p]),
    "bpf_consume_ringbuf": (ct.c_int, [ct.c_void_p]),
    "bpf_free_ringbuf": (None, [ct.c_void_p]),
}


@cache
def libbcc() -> ct.CDLL:
    """Return the library, with the types above set. Raises Missing where BCC is."""
    distribution.load_bcc()
    lib = ct.CDLL("libbcc.so.0", use_errno=True)
    for name, (result, arguments) in _TYPES.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib
