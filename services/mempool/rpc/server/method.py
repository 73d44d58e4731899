"""A method of the RPC interface: name, arguments, help text and the function that answers it.

`bind` turns the params of a call into that function's arguments with bitcoind's checks and messages: count, names,
types (rpc/server.cpp, rpc/util.cpp). Each category module ends with the table of its methods.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from services.mempool.rpc.server import protocol
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.values import type_name


class Kind(Enum):
    """The type of an argument: as help calls it, and the JSON type that it must have (None: its method looks)."""

    STRING = ("string", "string")
    NUMBER = ("numeric", "number")
    BOOL = ("boolean", "bool")
    ARRAY = ("json array", "array")
    OBJECT = ("json object", "object")
    AMOUNT = ("numeric or string", None)
    LEVEL = ("numeric or boolean", None)
    ANY = ("any", None)

    def __init__(self, shown: str, json_type: str | None) -> None:
        self.shown = shown
        self.json_type = json_type


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument. `name` may list aliases (`verbosity|verbose`); one with a `default` may be left out."""

    name: str
    kind: Kind
    text: str
    default: str | None = None

    @property
    def names(self) -> list[str]:
        """The name and its aliases."""
        return self.name.split("|")

    @property
    def is_optional(self) -> bool:
        """Tell whether the argument may be left out or null."""
        return self.default is not None

    @property
    def usage(self) -> str:
        """The argument in the first line of help: strings are quoted."""
        return f'"{self.names[0]}"' if self.kind is Kind.STRING else self.names[0]


@dataclass(frozen=True, slots=True)
class Method:
    """A method. `answer` takes the node and one value for each argument, None where it is left out.

    It is an `async def` if it waits for the writer, the miners or the next block.
    """

    name: str
    category: str
    text: str
    args: tuple[Arg, ...]
    answer: Callable[..., Any]
    is_submission: bool = False
    """Its answer is a `Claim`, which a batch publishes together with its neighbours."""
    is_short: bool = False
    """It takes much less time than the way to a thread and back: a few reads, no work to speak of."""
    is_hidden: bool = False
    """Help leaves it out of its list."""

    @property
    def usage(self) -> str:
        """The first line of its help: optional arguments in parentheses."""
        words = [self.name]
        for index, arg in enumerate(self.args):
            opens = arg.is_optional and (index == 0 or not self.args[index - 1].is_optional)
            words += ["(", arg.usage] if opens else [arg.usage]
        if self.args and self.args[-1].is_optional:
            words.append(")")
        return " ".join(words)

    @property
    def help(self) -> str:
        """The whole help text."""
        lines = [self.usage, "", self.text]
        if self.args:
            width = max(len(arg.names[0]) for arg in self.args)
            lines += ["", "Arguments:"]
            for number, arg in enumerate(self.args, 1):
                need = f"optional, default={arg.default}" if arg.default else "optional"
                kind = f"({arg.kind.shown}, {need if arg.is_optional else 'required'})"
                lines.append(f"{number}. {arg.names[0]:<{width}}    {kind} {arg.text}")
        return "\n".join(lines) + "\n"


def bind(method: Method, params: list[Any] | dict[str, Any]) -> list[Any]:
    """Return one value for each argument of the method; `RpcError` if the params do not fit it."""
    values = _positional(method, params) if isinstance(params, dict) else params
    required = max((index for index, arg in enumerate(method.args, 1) if not arg.is_optional), default=0)
    if not required <= len(values) <= len(method.args):
        raise RpcError(RpcCode.MISC_ERROR, method.help)
    values = values + [None] * (len(method.args) - len(values))
    mismatches = {}
    for number, (arg, value) in enumerate(zip(method.args, values, strict=True), 1):
        expected = arg.kind.json_type
        if expected is None or (value is None and arg.is_optional) or type_name(value) == expected:
            continue
        what = f"JSON value of type {type_name(value)} is not of expected type {expected}"
        mismatches[f"Position {number} ({arg.name})"] = what
    if mismatches:
        shown = ",\n".join(f"    {_quote(position)}: {_quote(what)}" for position, what in mismatches.items())
        raise RpcError(RpcCode.TYPE_ERROR, f"Wrong type passed:\n{{\n{shown}\n}}")
    return values


def _positional(method: Method, named: dict[str, Any]) -> list[Any]:
    """Return named params by position (transformNamedArguments); the name `args` holds the leading positional ones."""
    left = dict(named)
    values: list[Any] = []
    first_named: str | None = None
    first_position = 0
    for position, arg in enumerate(method.args):
        given = next((name for name in arg.names if name in left), None)
        if given is None:
            continue
        if first_named is None:
            first_named, first_position = arg.name, position
        values += [None] * (position - len(values))
        values.append(left.pop(given))
    if isinstance(left.get("args"), list):
        leading = left.pop("args")
        if first_named is not None and first_position < len(leading):
            message = f"Parameter {first_named} specified twice both as positional and named argument"
            raise RpcError(RpcCode.INVALID_PARAMETER, message)
        values = leading + values[len(leading) :]
    if left:
        raise RpcError(RpcCode.INVALID_PARAMETER, f"Unknown named parameter {next(iter(left))}")
    return values


def _quote(text: str) -> str:
    return protocol.encode(text).decode().rstrip("\n")
