"""The changes of a Lua script, line by line: a comparison turned, a number changed, a command not sent."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.mutation.mutant import Mutant, Operator

_TURNED = {b"==": b"~=", b"~=": b"==", b"<=": b"<", b">=": b">", b"<": b"<=", b">": b">="}
_TOKEN = re.compile(rb"--[^\n]*|'[^'\n]*'|\"[^\"\n]*\"|==|~=|<=|>=|<|>|\b\d+\b")
_COMMAND = re.compile(rb"(?:(?<=\n)[ \t]*|\bthen |\bdo )((?:redis\.p?call|call|each_slice)\()")


def changes(path: str, source: bytes) -> list[Mutant]:
    """Return all changes of a script, in the order of their places."""
    return sorted([*_tokens(path, source), *_commands(path, source)])


def _tokens(path: str, source: bytes) -> Iterator[Mutant]:
    for found in _TOKEN.finditer(source):
        token = found.group()
        if token in _TURNED:
            yield _mutant(path, source, found.span(), Operator.COMPARISON, _TURNED[token])
        elif token.isdigit():
            yield _mutant(path, source, found.span(), Operator.CONSTANT, str(int(token) + 1).encode())


def _commands(path: str, source: bytes) -> Iterator[Mutant]:
    """Delete each command that is a statement of its own; `do end` is Lua's empty statement."""
    for found in _COMMAND.finditer(source):
        if b"--" in source[source.rfind(b"\n", 0, found.start(1)) + 1 : found.start(1)]:
            continue
        end = found.end()
        depth = 1
        while depth:
            depth += {b"(": 1, b")": -1}.get(source[end : end + 1], 0)
            end += 1
        yield _mutant(path, source, (found.start(1), end), Operator.CALL, b"do end")


def _mutant(path: str, source: bytes, span: tuple[int, int], operator: Operator, text: bytes) -> Mutant:
    line = source.count(b"\n", 0, span[0]) + 1
    return Mutant(path, line, *span, operator, text, (line, line))
