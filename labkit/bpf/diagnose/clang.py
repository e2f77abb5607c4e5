# SPDX-License-Identifier: Apache-2.0
"""The table of what clang says: its words, what they mean in a BPF program, and what to write instead.

A row is a pattern of clang's words, and a function that gives (what is wrong, the fix), or None where it does not know.
What no row fits is shown as clang said it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from labkit.bpf.diagnose import answers, conditions, grammar, habits, map_answers, numbers, records, texts
from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.events import event_problem
from labkit.bpf.diagnose.finding import Finding
from labkit.bpf.diagnose.said import Answer, Match, Said

__all__ = ["error", "warnings"]


@dataclass(frozen=True)
class Row:
    """One thing that clang says; `answer` gets the match, the program and the diagnostic."""

    says: str
    answer: Callable[[Match, Code, Said], Answer]
    root: bool = False  # the mistake itself, where other errors only follow from it
    explains: bool = False  # what the verifier refuses is this mistake


ERRORS: tuple[Row, ...] = (
    Row(
        r"cannot use map function inside a macro",
        answers.fixed(
            "a macro cannot call a map's methods", "make it a function: static inline void bump(u32 k) { … }"
        ),
        root=True,
    ),
    Row(
        r"unexpected character <U\+201[89CD]>|character <U\+201[89CD]> not allowed",
        grammar.quotes,
        root=True,
    ),
    Row(
        r"pasting formed 'tracepoint__\"",
        answers.event_names,
        root=True,
    ),
    Row(
        r"too few arguments provided to function-like macro",
        answers.one_name,
        root=True,
    ),
    Row(r"too (few|many) arguments provided to function-like macro", grammar.macro_form),
    Row(r"expected expression", conditions.mirrored),
    Row(r"expected (?:expression|'\(' after|'\)'|';')", grammar.other_language),
    Row(r"expected function body after function declarator", grammar.filtered),
    Row(r"expected expression", grammar.macro_with_equals),
    Row(r"expected expression", grammar.size_missing),
    Row(r"extraneous closing brace", grammar.extra_brace),
    Row(r"initializing 'struct \w+' with an expression of incompatible type", map_answers.followed),
    Row(r"cannot assign to variable '(\w+)' with const", grammar.constant),
    Row(r"must use 'struct' tag to refer to type '(\w+)'", grammar.struct_word),
    Row(r"member reference type '.*' is (?:not )?a pointer; did you mean to use '(.+?)'", grammar.member),
    Row(r"unexpected type name '\w+': expected identifier", map_answers.no_such_macro),
    Row(r"unexpected type name '\w+': expected expression", grammar.lookup_in_if),
    Row(r"expected expression", grammar.lookup_in_if),
    Row(r"invalid operands to binary expression \('\w+ \(\*\)\(void\)'", grammar.not_called),
    Row(r"too many arguments to function call, expected 0", grammar.no_arguments),
    Row(r"redefinition of '(\w+)' with a different type", grammar.shadowed),
    Row(r"statement requires expression of integer type", grammar.switched),
    Row(r"static declaration of '(\w+)' follows non-static", grammar.declared_late),
    Row(r"conflicting types for '(\w+)'", grammar.declared_late),
    Row(r"'section' attribute only applies to", grammar.map_within),
    Row(r"no member named '(\w+)' in 'struct tracepoint__(\w+?)__(\w+)'", answers.field),
    Row(r"no member named '(\w+)' in 'struct bpf_raw_tracepoint_args'", answers.raw),
    Row(r"no member named '(\w+)' in 'struct (\w+)_table_t'", map_answers.method),
    Row(r"no member named '(\w+)' in 'struct pt_regs'", habits.register),
    Row(r"no member named '(\w+)' in 'struct (\w+)'", answers.kernel_field),
    Row(r"too (few|many) arguments to (?:function|method) call", map_answers.arguments),
    Row(r"too few arguments to function call", answers.helper_arguments),
    Row(r"array type '.*' is not assignable", texts.assigned),
    Row(r"cannot take the address of an rvalue", texts.address),
    Row(r"passing 'struct (\w+)_table_t' to parameter of incompatible type", map_answers.passed),
    Row(r"passing 'struct (\w+)' to parameter of incompatible type 'void \*'", map_answers.by_value),
    Row(r"passing 'char\[(\d+)\]' to parameter of incompatible type 'struct (\w+)'", map_answers.text_as_key),
    Row(r"function definition is not allowed here", grammar.within_another),
    Row(
        r"C does not support default arguments",
        answers.fixed("C has no default for an argument", "take it away, and pass the value in the call"),
    ),
    Row(r"invalid operands to binary expression \('[us]\w+'.* and '[us]\w+ \*'", map_answers.not_followed),
    Row(r"invalid operands to binary expression \('[us]\w+ \*'.* and '", map_answers.not_followed),
    Row(r"use of undeclared identifier '(\w+)'", answers.undeclared),
    Row(r"subscripted value is not an array", map_answers.subscript),
    Row(r"member reference (?:base )?type '", map_answers.hidden),
    Row(
        r"incomplete definition of type 'struct tracepoint__(\w+?)__(\w+)'",
        lambda found, code, said: event_problem(*found.groups()),
    ),
    Row(r"incomplete definition of type 'struct (\w+)'", answers.incomplete),
    Row(r"field has incomplete type 'struct (\w+)'", answers.declared_below, root=True),
    Row(r"expected '\}'", answers.unclosed),
    Row(r"expected '\)'", answers.open_bracket),
    Row(
        r"array initializer must be an initializer list or string literal",
        texts.format_variable,
    ),
    Row(r"use of undeclared identifier '\$(\w+)'", answers.placeholder),
    Row(r"'(\S+)' file not found", answers.header),
    Row(r"redefinition of '(\w+?)(?:_table_t)?'", map_answers.clash),
    Row(r"address of bit-field requested", numbers.bit_field),
    Row(r"'(break|continue)' statement not in loop", conditions.outside),
    Row(r"passing 'struct (\w+)' to parameter of incompatible type 'u64'", map_answers.struct_as_key),
    Row(r"unexpected ';' before '\)'", answers.macro),
    Row(r"expected ';'", answers.semicolon),
    Row(r"invalid preprocessing directive", grammar.comment),
    Row(r"unknown type name '(\w+)'", answers.type),
    Row(r"expected identifier or '\('", answers.cpp),
    Row(
        r"invalid operands to binary expression \('(?:.* and ')?void'|dereferencing .*'void|indirection requires",
        map_answers.lookup,
    ),
)
WARNINGS: tuple[Row, ...] = (
    Row(
        r"(?:implicit(?:ly)? declar(?:ation of|ing library)|call to undeclared(?: library)?) function '(\w+)'",
        answers.call,
        explains=True,
    ),
    Row(
        r"using the result of an assignment as a condition",
        conditions.assignment,
        explains=True,
    ),
    Row(
        r"incompatible pointer types passing '(.+?)'.* to parameter of type '(.+?)'",
        answers.kernel_function,
        explains=True,
    ),
    Row(r"incompatible pointer types passing '(.+?)'.* to parameter of type '(.+?)'", map_answers.key, explains=True),
    Row(
        r"incompatible pointer to integer conversion \w+ '(.+?)'.* with an expression of type '(.+?)'",
        map_answers.pointer,
        explains=True,
    ),
    Row(r"incompatible pointer types initializing", map_answers.value_type),
    Row(r"size is based on a different type '.* \*'", records.size_of_pointer),
    Row(r"overlapping comparisons always evaluate to (true|false)", conditions.overlapping),
    Row(r"bitwise (?:comparison|or with non-zero value) always evaluates to (true|false)", conditions.overlapping),
    Row(
        r"code will never be executed",
        answers.fixed("nothing reaches this line", "move it above what leaves before it"),
    ),
    Row(r"shift count >= width of type", numbers.shifted),
    Row(r"(\S+) has lower precedence than (\S+);", conditions.precedence),
    Row(r"logical not is only applied to the left hand side", conditions.not_first),
    Row(r"result of comparison of constant \S+ with boolean expression", conditions.chained),
    Row(r"use of logical '(\S+)' with constant operand", conditions.constant_operand),
    Row(r"misleading indentation; statement is not part of the previous '(\w+)'", conditions.not_inside),
    Row(r"address of function '(\w+)' will always evaluate to 'true'", conditions.named_only),
    Row(r"unannotated fall-through between switch labels", conditions.falls_through),
    Row(r"overflow in expression; result is (-?\d+)", numbers.overflow),
    Row(r"implicit truncation from '.*' to bit-field changes value from (-?\d+) to (-?\d+)", numbers.cut),
    Row(r"incompatible integer to pointer conversion \w+ '(.+?)'", answers.cast),
    Row(r"only %d %u", texts.conversion),
    Row(
        r"variable '(\w+)' is (?:used )?uninitialized",
        lambda found, code, said: (
            f"{found[1]} may be used before it has a value",
            f"set it where it is declared: {found[1]} = 0",
        ),
    ),
    Row(
        r"(?:division|remainder) by zero",
        answers.fixed("this divides by zero; in BPF the result is 0", "test the divisor first"),
    ),
    Row(
        r"non-void function does not return",
        answers.fixed("not every path returns a value; BCC returns 0 there", "end the function with return 0;"),
    ),
    Row(r"result of comparison against a string literal", texts.text_compared),
    Row(
        r"comparison between pointer and integer",
        answers.fixed(
            "a letter is compared with a text, which is never equal", "write the letter in single quotes: 'p'"
        ),
    ),
    Row(
        r"cannot use several %s",
        answers.fixed(
            "this line prints more than one %s, and kernels before 5.13 print nothing then", "print one %s per line"
        ),
    ),
    Row(r"result of comparison of unsigned expression", grammar.unsigned_below_zero),
    Row(
        r"conversion returning 'char\[\d+\]'",
        answers.fixed("a program returns a number, and this is a text", "write return 0;"),
    ),
    Row(r"comparison of address of '(\w+)' (?:not )?equal to a null pointer", answers.always),
)


_OF_ERRORS = ERRORS + WARNINGS  # clang 16 and later refuse what earlier ones warn of
# one struct under the kernel's name and under that of `labkit.bpf.structures`
_SAME_STRUCT = r"incompatible pointer types (?:initializing|assigning to) '(struct \w+ \*)' .*'\1'"


def error(said: Sequence[Said], code: Code) -> Finding | None:
    """Return what is wrong where clang refused, None where it said nothing of the learner's lines."""
    errors = [each for each in said if each.kind == "error"]
    if not errors:
        return None
    opened = next((each for each in said if each.line and "missing terminating '\"'" in each.words), None)
    if opened:
        return _finding(opened, texts.open_text(code, opened))
    for row in (row for row in ERRORS if row.root):
        for each in errors:
            if (found := re.search(row.says, each.words)) and (answer := row.answer(found, code, each)):
                return _finding(each, answer)
    first = errors[0]
    told = _in_words(first, code, _OF_ERRORS)
    if told and told.edits:  # the same mistake in other lines is corrected with it
        others = [_in_words(each, code, _OF_ERRORS) for each in errors[1:]]
        alike = {line: text for each in others if each and each.what == told.what for line, text in each.edits.items()}
        return replace(told, edits={**alike, **told.edits})
    return told or Finding(
        first.line, first.column, f"clang says: {first.words}", "correct the line named, and run again", ""
    )


def warnings(said: Sequence[Said], code: Code, *, explaining: bool = False) -> list[Finding]:
    """Return clang's warnings in words, each line once; `explaining` keeps those that explain a refusal."""
    rows = tuple(row for row in WARNINGS if row.explains or not explaining)
    found: dict[tuple[int, str], Finding] = {}
    for each in (each for each in said if each.kind == "warning" and not re.search(_SAME_STRUCT, each.words)):
        told = _in_words(each, code, rows)
        if told is None and not explaining:
            told = Finding(each.line, each.column, f"clang warns: {each.words}", "")
        if told:
            found.setdefault((told.line, told.what), replace(told, words=each.words))
    return sorted(found.values(), key=_rank)


def _rank(found: Finding) -> int:
    """Return the place of a warning in the table, which has the most important first; clang's raw words come last."""
    return next((at for at, row in enumerate(WARNINGS) if re.search(row.says, found.words)), len(WARNINGS))


def _in_words(said: Said, code: Code, rows: Sequence[Row]) -> Finding | None:
    for row in rows:
        if (found := re.search(row.says, said.words)) and (answer := row.answer(found, code, said)):
            return _finding(said, answer)
    return None


def _finding(said: Said, answer: tuple[str, str] | tuple[str, str, dict[int, str]]) -> Finding:
    what, fix, *edits = answer
    return Finding(said.line, said.column, what, fix, words=said.words, edits=edits[0] if edits else {})
