# SPDX-License-Identifier: Apache-2.0
"""Numbers that do not fit: shifts, products, bit fields, times, the results of system calls, the order of bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.finding import Finding
from labkit.bpf.diagnose.said import Answer, Match, Said

__all__ = ["bit_field", "cut", "overflow", "shifted", "warnings"]

_NARROW = r"u32|s32|int|unsigned(?:\s+int)?|u16|u8|__u32"
_UNSIGNED = r"u64|u32|size_t|unsigned(?:\s+(?:int|long))?|__u64|__u32|uint64_t|uint32_t"
_SHORT = {1_000: "us", 1_000_000: "ms", 1_000_000_000: "s"}
_UNITS = {  # what a name may end with -> the nanoseconds of one
    **dict.fromkeys(("us", "usec", "usecs", "micros"), 1_000),
    **dict.fromkeys(("ms", "msec", "msecs", "millis"), 1_000_000),
    **dict.fromkeys(("s", "sec", "secs", "seconds"), 1_000_000_000),
}
_PER = {"NSEC_PER_USEC": 1_000, "NSEC_PER_MSEC": 1_000_000, "NSEC_PER_SEC": 1_000_000_000}
_MODES = ("O_RDONLY", "O_WRONLY", "O_RDWR")
_IN_NETWORK_ORDER = r"h_proto|source|dest|saddr|daddr|remote_port|remote_ip4|local_ip4|protocol"


def shifted(found: Match, code: Code, said: Said) -> Answer:
    """Answer a shift by as many bits as the number has, or more."""
    line = code.line(said.line)
    for shift in re.finditer(r"(\([^()]*\)|\b[\w.>-]+)\s*(<<=?|>>=?)\s*(\w+)", line):
        name = shift[1]
        if name.isdigit():
            return f"{name} is a number of 32 bits, and is shifted by more", f"write {name}ULL instead of {name}"
        declared = code.declared(name, said.line)
        size = code.size_of(declared[1]) if declared else None
        by = code.constant(shift[3])
        if size == 4 and by is not None and by >= 32 and shift[2] == ">>" and declared:
            what = f"{name} has 32 bits ({declared[1]}, line {declared[0]}): its upper half is lost there"
            right = re.sub(rf"\b{declared[1]}(\s+{name}\b)", r"u64\1", code.line(declared[0]), count=1)
            return what, f"declare it as u64 (line {declared[0]}): u64 {name}", {declared[0]: right}
        if size == 4 and by is not None and by >= 32 and shift[2] == "<<" and declared:
            right = f"(u64){name} << {shift[3]}"
            edited = line[: shift.start()] + right + line[shift.end() :]
            what = f"{name} has 32 bits ({declared[1]}, line {declared[0]}), and is shifted by {by}"
            return what, f"write {right}", {said.line: edited}
    return "the number is shifted by as many bits as it has, or more", "make it a u64 first: (u64)number << bits"


def overflow(found: Match, code: Code, said: Said) -> Answer:
    what = f"this is computed with 32 bits, and the result does not fit: it becomes {found[1]}"
    line = code.line(said.line)
    product = re.search(r"(?<![\w.])(\d+)(?=\s*\*)", line)
    if product is None:
        return what, "write ULL behind one of the numbers"
    right = f"{line[: product.end()]}ULL{line[product.end() :]}"
    return what, f"compute with 64 bits: {right.strip()}", {said.line: right}


def cut(found: Match, code: Code, said: Said) -> Answer:
    what = f"the bit field has too few bits for {found[1]}: it becomes {found[2]}"
    return what, "give it more bits where the struct is declared"


def bit_field(found: Match, code: Code, said: Said) -> Answer:
    name = re.match(r"&\s*([\w.>-]+)", code.line(said.line)[max(said.column - 1, 0) :])
    field = name[1] if name else "it"
    what = f"{field} is a bit field, which has no address"
    return what, f"pass the address of a variable, u32 copy = 0; and then assign it: {field} = copy;"


def warnings(code: Code) -> Iterator[Finding]:
    """Yield the numbers that are accepted, and are not what they look like."""
    for line, text in enumerate(code.bare.splitlines(), 1):
        probe = code.probe_at(line)
        of_exit = probe is not None and probe.kind == "TRACEPOINT_PROBE" and probe.event.startswith("sys_exit_")
        yield from _time(code, line, text)
        yield from _one(code, line, text)
        yield from _share(line, text)
        yield from _byte_order(line, text)
        if of_exit:
            yield from _result(code, line, text)
        yield from _unit(code, line, text)
        yield from _user_or_group(line, text)
        yield from _without_bits(code, line, text)
        yield from _below_zero(code, line, text)
    yield from _halves(code)
    yield from _other_half(code)


def _time(code: Code, line: int, text: str) -> Iterator[Finding]:
    found = re.search(rf"\b({_NARROW})\s+(\w+)\s*=\s*[^;/]*bpf_ktime_get_\w*ns\s*\(\s*\)(?![^;]*[/<>])", text)
    if found:
        again = "2.1" if found[1] in ("int", "s32") else "4.3"
        what = (
            f"{found[2]} has 32 bits ({found[1]}), and the time is in nanoseconds: it overflows after {again} seconds"
        )
        kept = re.search(rf"\b(\w+)\.(?:update|insert)\s*\([^;]*,\s*&{found[2]}\b", code.bare)
        fix = f"declare {found[2]} as u64" + (f", and the values of {kept[1]} too" if kept else "")
        yield Finding(line, 0, what, fix)


def _unit(code: Code, line: int, text: str) -> Iterator[Finding]:
    """Yield a time in nanoseconds that is divided, and named after another unit than it then has."""
    found = re.search(rf"\b(\w*?_?)({'|'.join(_UNITS)})\s*=\s*(?!=)([^;/]+?)\s*/\s*(\w+)\s*;", text)
    if found is None or (found[1] and not found[1].endswith("_")):
        return
    start, divisor = found[3].strip("( )"), code.constant(found[4]) or _PER.get(found[4], 0)
    if start.isidentifier():
        set_to = re.findall(rf"\b{start}\s*(?:[-+*/%]|<<|>>)?=(?!=)([^;]*);", code.inside(line))
        start = set_to[0] if len(set_to) == 1 else ""
    if "bpf_ktime_get_ns" not in start or "/" in start or _UNITS[found[2]] == divisor or divisor not in _SHORT:
        return
    name, right = f"{found[1]}{found[2]}", _UNITS[found[2]]
    what = f"nanoseconds / {found[4]} are {_SHORT[divisor]}, and the name {name} says {_SHORT[right]}"
    yield Finding(line, 0, what, f"divide by {right}, or change the name")


def _user_or_group(line: int, text: str) -> Iterator[Finding]:
    """Yield the halves of bpf_get_current_uid_gid() under each other's names."""
    for found in re.finditer(r"(\w+)\s*=\s*(?:\(\w+\)\s*)?bpf_get_current_uid_gid\s*\(\s*\)\s*(>>\s*32)?", text):
        name, is_upper = found[1], found[2] is not None
        is_user, is_group = re.search(r"uid|user", name), re.search(r"gid|group", name)
        if bool(is_user) == bool(is_group) or bool(is_group) == is_upper:
            continue
        half, other, whose = ("upper", "user", "group") if is_upper else ("lower", "group", "user")
        right = "(u32)bpf_get_current_uid_gid()" if is_upper else "bpf_get_current_uid_gid() >> 32"
        what = f"{name} gets the {half} 32 bits of bpf_get_current_uid_gid(), which are the {whose}'s id"
        yield Finding(line, 0, what, f"for the {other} write {right}")


def _without_bits(code: Code, line: int, text: str) -> Iterator[Finding]:
    """Yield & with a name that is 0, and == with one flag of several."""
    if found := re.search(r"(\b[\w.>-]*\bflags)\s*([!=])=\s*((?:O|MAP|CLONE|MSG)_[A-Z]+)\b(?!\s*\|)", text):
        right = f"{found[1]} & {found[3]}"
        right = f"({found[1]} & O_ACCMODE) {found[2]}= {found[3]}" if found[3] in _MODES else right
        right = f"!({right})" if found[2] == "!" and found[3] not in _MODES else right
        yield Finding(
            line, 0, f"{found[1]} may hold other flags next to {found[3]}: then they are not equal", f"write {right}"
        )
    for found in re.finditer(r"(\b[\w.>-]+)\s*(?<!&)&\s*([A-Z_][A-Z0-9_]+)\b(?!\s*[|(<])", text):
        if found[2] != "O_RDONLY" and code.constant(found[2]) != 0:
            continue
        right = f"({found[1]} & O_ACCMODE) == O_RDONLY" if found[2] == "O_RDONLY" else f"{found[1]} == {found[2]}"
        yield Finding(line, 0, f"{found[2]} is 0: {found[0]} is always 0", f"write {right}")


def _below_zero(code: Code, line: int, text: str) -> Iterator[Finding]:
    """Yield a test of an unsigned difference that is meant to find it negative."""
    found = re.search(r"\bif\s*\(\s*(\w+)\s*(<=|>)\s*0\s*[)&|]", text)
    declared = code.declared(found[1], line) if found else None
    if found is None or declared is None or not re.fullmatch(_UNSIGNED, declared[1]):
        return
    start = re.search(rf"\b{found[1]}\s*=\s*([\w.>-]+)\s+-\s+([\w.>-]+)\s*;", code.line(declared[0]))
    above = code.above(line - 1)
    timed = start and any(re.search(rf"\b{re.escape(one)}\s*=.*bpf_ktime", above) for one in start.groups())
    one, other = (re.escape(each) for each in start.groups()) if start else ("", "")
    if start is None or timed or re.search(rf"{one}\s*[<>]=?\s*{other}|{other}\s*[<>]=?\s*{one}", above):
        return
    what = f"{found[1]} is unsigned ({declared[1]}, line {declared[0]}): where {start[2]} is larger than {start[1]}, "
    yield Finding(line, 0, f"{what}it is a huge number, not a negative one", f"compare {start[1]} with {start[2]}")


def _one(code: Code, line: int, text: str) -> Iterator[Finding]:
    """Yield 1 << n where n is no constant, in an expression of 64 bits."""
    found = re.search(r"(?<![\w.])1\s*<<\s*(\([^()]*\)|[A-Za-z_][\w.>-]*)", text)
    stored = re.match(r"\s*(?:(u64|s64|__u64)\s+\w+|(\*?)\s*(\w+))\s*[|&^+]?=", text)
    if found is None or stored is None or code.constant(found[1]) is not None:
        return
    pointed = stored[3] and re.search(rf"\bu64\s*\*\s*{stored[3]}\b", code.bare)
    declared = code.declared(stored[3], line) if stored[3] else None
    if stored[1] or (stored[2] and pointed) or (declared and code.size_of(declared[1]) == 8):
        what = f"1 has 32 bits: 1 << {found[1]} is wrong from 31 on, and the variable has 64"
        yield Finding(line, 0, what, f"write 1ULL << {found[1]}")


def _share(line: int, text: str) -> Iterator[Finding]:
    """Yield a share in percent that is divided first: what is less than 1 becomes 0."""
    found = re.search(r"/\s*(\*?\s*[A-Za-z_][\w.]*(?:->\w+)*)\s*\*\s*(100)\b(?!\s*\*)", text)
    if found and not re.match(r"\s*#", text) and "//" not in text:
        what = f"the division by {found[1]} comes first, and is of integers: a share below 1 becomes 0"
        yield Finding(line, 0, what, f"multiply first: … * {found[2]} / {found[1]}")


def _other_half(code: Code) -> Iterator[Finding]:
    """Yield a lookup by the process where the only entries are by thread, or the other way round."""
    halves = {"": "thread", ">>32": "process"}
    keys: dict[str, list[tuple[str, int]]] = {}
    for found in re.finditer(r"\b(\w+)\s*\.\s*(update|lookup)\s*\(\s*&\s*(\w+)", code.bare):
        line = code.line_at(found.start())
        declared, first = code.declared(found[3], line), code.function_at(line)[1]
        start = code.line(declared[0]) if declared and declared[0] >= first > 0 else ""
        half = re.search(rf"\b{found[3]}\s*=\s*bpf_get_current_pid_tgid\s*\(\s*\)\s*(>>\s*32)?\s*;", start)
        kind = halves["".join((half[1] or "").split())] if half and declared and code.size_of(declared[1]) == 4 else ""
        keys.setdefault(f"{found[2]} {found[1]}", []).append((kind, line))
    for call, used in keys.items():
        kept = {kind for kind, _ in keys.get(call.replace("lookup ", "update "), [])}
        name = call.removeprefix("lookup ")
        for kind, line in used if call.startswith("lookup ") and len(kept) == 1 and "" not in kept else ():
            if kind and kind not in kept:
                what = f"{name} is filled by {kept.copy().pop()}, and looked up by {kind} here: other keys"
                yield Finding(line, 0, what, "use the same half of bpf_get_current_pid_tgid() in both functions")


def _byte_order(line: int, text: str) -> Iterator[Finding]:
    if found := re.search(r"\b(?:bpf_)?(?:ntoh|hton)[ls]\s*\(\s*(\w+->local_port)\s*\)", text):
        what = "local_port is in the order of this CPU; only remote_port is in network byte order"
        yield Finding(line, 0, what, f"write {found[1]}")
    pattern = rf"(?:->|\.)({_IN_NETWORK_ORDER})\s*[!=]=\s*(0x\w+|[1-9]\d*|ETH_P_\w+)\b"
    for found in re.finditer(pattern, text):
        field, value = found.groups()
        if field in ("protocol", "h_proto") and not re.match(r"ETH_P_|0x0?800$|0x86[dD][dD]$", value):
            continue  # the protocol of IP is a byte
        if field not in ("protocol", "h_proto") and value.startswith("0x"):
            continue  # written in the packet's order, perhaps
        if field in ("source", "dest", "h_proto", "protocol"):
            right = f"htons({value})"
        else:
            right = f"htonl({value})"
        what = f"{field} is in network byte order, and {value} is in the order of this CPU"
        yield Finding(line, 0, what, f"compare with {right}")


def _result(code: Code, line: int, text: str) -> Iterator[Finding]:
    if re.search(r"\bargs->ret\s*[!=]=\s*-1\b", text):
        what = "a system call that fails gives the negative number of its error, and -1 is only one of them (EPERM)"
        yield Finding(line, 0, what, "for every failure write args->ret < 0")
    if positive := re.search(r"\bargs->ret\s*[!=]=\s*(E[A-Z]{3,}\d*)\b", text):
        what = f"the kernel returns errors as negative numbers: args->ret is never {positive[1]}"
        yield Finding(line, 0, what, f"write -{positive[1]}")
    found = re.search(rf"\b({_UNSIGNED})\s+(\w+)\s*=\s*(?:\([\w ]+\)\s*)?args->ret\s*;", text)
    if found is None:
        return
    probe = code.probe_at(line)
    above = "\n".join(code.lines[probe.line - 1 if probe else 0 : line - 1])
    end = next((at for at in range(line, len(code.lines)) if code.lines[at].startswith("}")), len(code.lines))
    below = "\n".join(code.lines[line:end])
    is_tested = re.search(r"args->ret\s*[<>]", above) or re.search(
        r"args->ret\s*[<>]|\([su]?(?:int|long|64|32)\)", below
    )
    counts = re.search(rf"[,+]=?\s*{found[2]}\b|\b{found[2]}\s*(?:>|<|/)", below)
    if not is_tested and counts and not re.search(rf"\b{found[2]}\s*<\s*0", below):
        what = f"{found[2]} is unsigned, and args->ret is negative when the call fails: it becomes a huge number"
        yield Finding(line, 0, what, "leave out what failed, above this line: if (args->ret < 0) return 0;")


def _halves(code: Code) -> Iterator[Finding]:
    """Yield the halves of bpf_get_current_pid_tgid() under each other's names."""
    whole = re.search(r"\b(?:u64|__u64|long)\s+(\w+)\s*=\s*bpf_get_current_pid_tgid\s*\(\s*\)\s*;", code.bare)
    if whole is None:
        return
    upper = code.find(rf"(?<![.>])\b(\w+)\s*=\s*(?:\(\w+\)\s*)?\(?{whole[1]}\s*>>\s*32")
    lower = code.find(rf"(?<![.>])\b(pid|tgid)\s*=\s*(?:\(\w+\)\s*)?{whole[1]}\s*(?:&\s*0x[fF]+\w*\s*)?;")
    if upper and re.fullmatch(r"tid|thread\w*", upper[1][1]):
        what = f"{upper[1][1]} gets the upper 32 bits of {whole[1]}, which are the process's id, not the thread's"
        yield Finding(upper[0], 0, what, f"for the thread write (u32){whole[1]}, for the process {whole[1]} >> 32")
    elif lower and not (upper and re.fullmatch(r"tgid", upper[1][1])):  # the kernel's own names: pid is a thread
        what = f"{lower[1][1]} gets the lower 32 bits of {whole[1]}, which are the thread's id, not the process's"
        yield Finding(lower[0], 0, what, f"for the process write {whole[1]} >> 32")
