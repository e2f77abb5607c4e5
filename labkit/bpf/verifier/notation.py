# SPDX-License-Identifier: Apache-2.0
"""Say in plain words what the verifier's log says in its own notation: values, stack bytes, instructions."""

from __future__ import annotations

import re

__all__ = ["access", "argument", "expected", "helper", "instruction", "is_number", "operands", "reach", "span", "value"]

_U64, _U32 = (1 << 64) - 1, (1 << 32) - 1
_S64 = 1 << 63

# enum bpf_reg_type, as the log spells it
_POINTERS = {
    "ctx": "the context: the record that the kernel passes to the program",
    "map_ptr": "the map itself",
    "map_key": "a pointer to a key of a map",
    "pkt": "a pointer into the packet",
    "pkt_meta": "a pointer to the packet's metadata",
    "pkt_end": "the end of the packet",
    "flow_keys": "a pointer to the flow keys",
    "sock": "a pointer to a socket",
    "sock_common": "a pointer to a socket",
    "tcp_sock": "a pointer to a TCP socket",
    "xdp_sock": "a pointer to an XDP socket",
    "tp_buffer": "a pointer to a tracepoint's buffer",
    "func": "a pointer to a function",
    "dynptr_ptr": "a pointer to a dynptr",
}
_ORDINAL = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}


def value(raw: str) -> str:
    """Return a register's value in words: "map_value_or_null(id=1,map=start,ks=4,vs=16)" and the like."""
    text = re.sub(r"^(?:P(?=-?\d|scalar|inv)|invP)", "", raw)
    text = re.sub(r"^inv(?=-?\d)", "", text)
    if (number := _int(text)) is not None:
        return f"the number {number}"
    if stack := re.match(r"fp(?:\[\d+\])?(-?\d+)$", text):
        return address_on_stack(int(stack[1]))
    parts = re.match(r"([\w\[\]]*?)(_or_null)?(?:\((.*)\))?$", text)
    if parts is None:
        return f"`{raw}`"
    kind, maybe_null, fields = parts[1], bool(parts[2]) or "or_null_" in parts[1], _fields(parts[3] or "")
    if is_number(raw):
        return f"a number {_range(fields)}"
    words = "an address on the stack" if kind.startswith("fp") else _pointer(kind, fields)
    if words is None:
        return f"`{raw}`"
    if maybe_null:
        return f"{words}, or NULL"
    moved = _moved(fields)
    return f"{words}, moved by {moved}" if moved else words


def is_number(raw: str) -> bool:
    """Tell whether the log's notation is of a number, not of a pointer."""
    return re.match(r"P?-?\d|P?scalar|inv", raw) is not None


def expected(raw: str) -> str:
    """Return in words what a helper would have taken: "fp, pkt, map_value" and the like."""
    kinds = [kind.strip() for kind in raw.split(",") if kind.strip()]
    if {"fp", "map_value"} <= set(kinds):
        return "a pointer to memory: to a variable on the stack, to a map's value, to a record"
    return " or ".join(dict.fromkeys(value(kind) for kind in kinds))


def _pointer(kind: str, fields: dict[str, str]) -> str | None:
    named = f" `{fields['map']}`" if "map" in fields else ""
    if kind == "map_value":
        size = f" of {_bytes(int(fields['vs']))}" if "vs" in fields else ""
        return f"a pointer to a value{size} in the map{named}" if named else f"a pointer to a map's value{size}"
    if kind == "map_ptr":
        return f"the map{named} itself" if named else _POINTERS["map_ptr"]
    if kind.removeprefix("rdonly_") in ("ringbuf_mem", "alloc_mem", "mem"):
        known = _int(fields.get("sz", fields.get("mem_size", "")))
        what = "a ring-buffer record" if kind in ("ringbuf_mem", "alloc_mem") else "memory"
        return f"a pointer to {what}" + (f" of {_bytes(known)}" if known else "")
    if struct := re.match(r"(?:\w*?_)?ptr_(?:or_null_)?(\w+)$", kind):
        return f"a pointer to the kernel's struct {struct[1]}"
    return _POINTERS.get(kind)


def _range(fields: dict[str, str]) -> str:
    """Return the limits of a number that the log gives, in words."""
    low, high, smin, smax = _limits(fields)
    if smin is not None and smin < 0 and smax is not None and smax < _S64 - 1:
        return f"from {smin} to {smax}"
    if high >= _S64 - 1:
        if smax is not None and smax < _S64 - 8:
            return f"of at most {smax}, perhaps negative"
        return f"of at least {low}" if low else "that can be anything"
    if (low, high) == (0, _U32):
        return "that can be anything (32 bits)"
    return f"from {low} to {high}" if low != high else f"that is {low}"


def _limits(fields: dict[str, str]) -> tuple[int, int, int | None, int | None]:
    known = {name: _int(text) for name, text in fields.items()}
    smin = _first(known, "smin", "smin_value")
    smax = _first(known, "smax", "smax_value")
    low = _first(known, "umin", "umin_value") or 0
    high = _first(known, "umax", "umax_value")
    if smin is not None and smin >= _S64:
        smin -= 1 << 64
    if high is None:
        high = smax if smax is not None and smin is not None and smin >= 0 else _U64
    if mask := re.match(r"\((0x[0-9a-f]+|\d+); (0x[0-9a-f]+)\)", fields.get("var_off", "")):
        high = min(high, int(mask[1], 0) + int(mask[2], 16))
        low = max(low, int(mask[1], 0))
    if smin is not None and smin < 0 and smax is None:
        smax = _S64 - 1
    return low, high, smin, smax


def _ends(fields: dict[str, str]) -> tuple[int, int]:
    """Return the first and the last value, with a sign where it may be negative."""
    low, high, smin, smax = _limits(fields)
    if smin is not None and smin < 0:
        return smin, smax if smax is not None else high
    return low, high


def _moved(fields: dict[str, str]) -> str:
    """Return by how much a pointer was moved, in words; nothing if it was not."""
    fixed = _int(fields.get("off", "")) or 0
    if imm := fields.get("imm"):  # hexadecimal without 0x before 6.7
        fixed += int(imm, 0 if "x" in imm else 16)
    if "var_off" not in fields and not any(name.startswith(("smin", "umin", "smax", "umax")) for name in fields):
        return f"{fixed} bytes" if fixed else ""
    low, high, smin, _ = _limits(fields)
    if smin is not None and smin < 0:
        low = smin
    if high >= _S64 - 1:
        return "an unknown number of bytes"
    return f"{fixed + low} to {fixed + high} bytes"


def span(raw: str) -> tuple[int, int] | None:
    """Return the first and the last value that a number may have; None for a pointer, and without limits in the log."""
    parts = re.match(r"P?(?:scalar|inv)\((.*)\)$", raw)
    return _ends(_fields(parts[1])) if parts else None


def reach(raw: str) -> tuple[int, int, int] | None:
    """Return (first, last, memory): by how many bytes a pointer into memory may be moved, and the bytes it points into.

    None for another register, and where the limits or the memory are not known.
    """
    parts = re.match(r"(?:map_value|\w*mem)\((.*)\)$", raw)
    fields = _fields(parts[1]) if parts else {}
    memory = _first({name: _int(text) for name, text in fields.items()}, "vs", "sz", "mem_size")
    if memory is None or "var_off" not in fields:
        return None
    fixed = _int(fields.get("off", "")) or 0
    low, high = _ends(fields)
    return fixed + low, fixed + high, memory


def address_on_stack(offset: int) -> str:
    """Return where an address relative to the frame pointer is."""
    if offset == 0:
        return "the top of the program's stack"
    side = "below" if offset < 0 else "above"
    return f"an address on the stack, {_bytes(abs(offset))} {side} its top"


_MEMORY = r"\(?(?P<type>[us]\d+) \*\)\((?P<base>r\d+) ?(?P<off>[+-] ?\d+)\)"
_TOUCHES = {  # kernel/bpf/disasm.c
    "reads": re.compile(rf"[rw]\d+ = \*{_MEMORY}"),
    "writes": re.compile(rf"\*{_MEMORY} = \S+"),
    "changes in one step": re.compile(rf"(?:lock \*|[rw]\d+ = \w*(?:atomic|cmpxchg|xchg)\w*\(){_MEMORY}"),
}
_CALL = re.compile(r"call (?:(?P<name>[a-z_]\w*)#-?\d+|\S+)")


def access(text: str) -> tuple[str, int, str, int] | None:
    """Return (verb, bytes, base register, offset) of an instruction that touches memory."""
    for verb, pattern in _TOUCHES.items():
        if found := pattern.match(text):
            return verb, int(found["type"][1:]) // 8, found["base"].upper(), int(found["off"].replace(" ", ""))
    return None


def operands(text: str) -> list[str]:
    """Return the registers whose values decide whether an instruction is allowed."""
    if touched := access(text):
        return [touched[2]]
    if added := re.match(r"[rw](\d+) \S*= -?[rw](\d+)$", text):
        return [f"R{added[1]}", f"R{added[2]}"]
    if changed := re.match(r"[rw](\d+) \S+= ", text):
        return [f"R{changed[1]}"]
    return []


def helper(text: str) -> str:
    """Return the name of the helper that an instruction calls, or an empty string."""
    call = _CALL.match(text)
    return (call["name"] or "") if call else ""


_OPERATIONS = {
    "+": "adds {by} to {to}",
    "-": "subtracts {by} from {to}",
    "*": "multiplies {to} by {by}",
    "/": "divides {to} by {by}",
    "%": "takes the rest of {to} divided by {by}",
    "<<": "shifts {to} to the left by {by} bits",
    ">>": "shifts {to} to the right by {by} bits",
    "s>>": "shifts {to} to the right by {by} bits",
    "&": "keeps those bits of {to} that are set in {by}",
    "|": "sets those bits of {to} that are set in {by}",
}


def instruction(text: str) -> str:
    """Return what an instruction does, in words."""
    if touched := access(text):
        verb, size, base, offset = touched
        return f"{verb} {_bytes(size)} at {where(base, offset)}"
    if text.startswith("call"):
        return f"calls {helper(text) or 'a function'}"
    if text == "exit":
        return "returns from the program"
    if text.startswith("if "):
        return "compares, and perhaps jumps"
    if text.startswith(("goto", "may_goto")):
        return "jumps"
    if found := re.match(r"[rw](\d+) (\S+)= ([rw]?)(-?\w+)$", text):
        operand = f"R{found[4]}" if found[3] else found[4]
        return _OPERATIONS.get(found[2], "computes with {to} and {by}").format(to=f"R{found[1]}", by=operand)
    return "computes"


def where(base: str, offset: int) -> str:
    """Return a register and an offset as an address in words."""
    if base == "R10":
        return address_on_stack(offset)
    if offset == 0:
        return f"the address in {base}"
    return f"the address in {base}, {'plus' if offset > 0 else 'minus'} {abs(offset)}"


def argument(register: int) -> str:
    """Return which argument of a call a register holds."""
    return f"its {_ORDINAL[register]} argument (R{register})" if register in _ORDINAL else f"R{register}"


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count} bytes"


def _int(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None


def _first(known: dict[str, int | None], *names: str) -> int | None:
    return next((known[name] for name in names if known.get(name) is not None), None)


def _fields(text: str) -> dict[str, str]:
    """Read "id=1,smax=umax=255,var_off=(0x0; 0xff)"; `a=b=1` gives both."""
    found: dict[str, str] = {}
    for part in re.split(r",(?![^(]*\))", text):
        *names, last = part.split("=")
        found.update(dict.fromkeys((name.strip() for name in names), last))
    return found
