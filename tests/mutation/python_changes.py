"""The changes of a Python module: each an edit of its text, found through its syntax tree.

Code without behaviour is not changed: docstrings, annotations, decorators, `__slots__`, `if TYPE_CHECKING`, logging,
metrics, `__repr__`, f-strings, and the texts of errors.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from tests.mutation.mutant import Mutant, Operator

_COMPARISONS = {
    ast.Lt: (r"<", "<="),
    ast.LtE: (r"<=", "<"),
    ast.Gt: (r">", ">="),
    ast.GtE: (r">=", ">"),
    ast.Eq: (r"==", "!="),
    ast.NotEq: (r"!=", "=="),
    ast.Is: (r"\bis\b", "is not"),
    ast.IsNot: (r"\bis\s+not\b", "is"),
    ast.In: (r"\bin\b", "not in"),
    ast.NotIn: (r"\bnot\s+in\b", "in"),
}
_ARITHMETIC = {
    ast.Add: (r"\+", "-"),
    ast.Sub: (r"-", "+"),
    ast.Mult: (r"\*", "//"),
    ast.FloorDiv: (r"//", "*"),
    ast.Div: (r"/", "*"),
    ast.Mod: (r"%", "*"),
    ast.Pow: (r"\*\*", "*"),
    ast.LShift: (r"<<", ">>"),
    ast.RShift: (r">>", "<<"),
    ast.BitAnd: (r"&", "|"),
    ast.BitOr: (r"\|", "&"),
    ast.BitXor: (r"\^", "&"),
}
_SWAPPED_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
_SILENT = {"log", "logger", "logging", "metrics", "with_fields"}
_WORDS_ONLY = {"__repr__", "__str__"}
_LEAVES = (ast.Raise, ast.Return, ast.Continue, ast.Break)
_TYPES = {"int", "str", "bytes", "float", "bool", "list", "dict", "tuple", "set", "frozenset", "object", "type"}


def changes(path: str, source: bytes) -> list[Mutant]:
    """Return all changes of a module, in the order of their places."""
    return sorted(_Finder(path, source).found())


class _Finder:
    def __init__(self, path: str, source: bytes) -> None:
        self._path = path
        self._source = source
        starts = [0]
        for line in source.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        self._starts = starts

    def found(self) -> Iterator[Mutant]:
        yield from self._body(ast.parse(self._source).body, ())

    def _body(self, body: Sequence[ast.stmt], names: tuple[str, ...] | None) -> Iterator[Mutant]:
        """`names` is None inside a function."""
        for statement in body:
            yield from self._statement(statement, names)

    def _statement(self, node: ast.stmt, names: tuple[str, ...] | None) -> Iterator[Mutant]:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                if node.name in _WORDS_ONLY:
                    return
                own = None if names is None else (*names, node.name)
                for default in (*node.args.defaults, *node.args.kw_defaults):
                    if default is not None:
                        yield from self._expression(default, own)
                yield from self._body(node.body, None)
            case ast.ClassDef():
                yield from self._body(node.body, None if names is None else (node.name,))
            case ast.Import() | ast.ImportFrom() | ast.Raise() | ast.Pass() | ast.Global() | ast.Nonlocal():
                return
            case ast.Expr(value=ast.Constant()):
                return
            case ast.Expr(value=ast.Call() as call):
                if not _is_silent(call):
                    yield self._edit(node, Operator.CALL, b"pass", names)
                    yield from self._expression(call, names)
            case ast.If():
                yield from self._if(node, names)
            case ast.AugAssign():
                pattern, other = _ARITHMETIC[type(node.op)]
                yield self._token(node, node.target, node.value, Operator.ARITHMETIC, pattern + "=", other + "=", names)
                yield from self._expression(node.value, names)
            case ast.Assign() | ast.AnnAssign():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                assigned = tuple(
                    name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
                )
                if node.value is not None and "__slots__" not in assigned:
                    yield from self._expression(node.value, None if names is None else assigned)
            case ast.Return(value=ast.expr() as value):
                if not isinstance(value, ast.Constant):
                    yield self._edit(value, Operator.RETURN, b"None", names)
                yield from self._expression(value, names)
            case ast.Delete():
                yield self._edit(node, Operator.CALL, b"pass", names)
            case _:
                yield from self._children(node, names)

    def _children(self, node: ast.AST, names: tuple[str, ...] | None) -> Iterator[Mutant]:
        if isinstance(node, ast.While):
            yield from self._condition(node.test, names)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                yield from self._statement(child, names)
            elif isinstance(child, ast.expr):
                yield from self._expression(child, names)
            else:
                yield from self._children(child, names)

    def _if(self, node: ast.If, names: tuple[str, ...] | None) -> Iterator[Mutant]:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        if all(map(_is_empty, (*node.body, *node.orelse))):
            return
        if not all(map(_is_empty, node.body)):
            operator = Operator.GUARD if isinstance(node.body[-1], _LEAVES) and not node.orelse else Operator.BRANCH
            yield self._edit(node.test, operator, b"False", names, runs=node.body)
        if node.orelse and not isinstance(node.orelse[0], ast.If) and not all(map(_is_empty, node.orelse)):
            first, last = node.orelse[0], node.orelse[-1]
            yield self._edit(first, Operator.BRANCH, b"pass", names, runs=node.orelse, end=self._end(last))
        yield from self._condition(node.test, names)
        yield from self._expression(node.test, names)
        yield from self._body(node.body, names)
        yield from self._body(node.orelse, names)

    def _condition(self, node: ast.expr, names: tuple[str, ...] | None) -> Iterator[Mutant]:
        """Negate a condition, or the parts of one, where no comparison or `not` can be turned."""
        match node:
            case ast.Compare() | ast.UnaryOp(op=ast.Not()) | ast.Constant() | ast.IfExp() | ast.Lambda():
                return
            case ast.BoolOp():
                for value in node.values:
                    yield from self._condition(value, names)
            case ast.NamedExpr():
                yield self._edit(node, Operator.NEGATION, b"not (" + self._text(node) + b")", names)
            case _:
                yield self._edit(node, Operator.NEGATION, b"not " + self._text(node), names)

    def _expression(self, node: ast.expr, names: tuple[str, ...] | None) -> Iterator[Mutant]:
        match node:
            case ast.JoinedStr():
                return
            case ast.Call() if _is_silent(node):
                return
            case ast.Call(func=ast.Name(id=name)) if name in _SWAPPED_CALLS:
                yield self._edit(node.func, Operator.ARITHMETIC, _SWAPPED_CALLS[name].encode(), names)
            case ast.Compare():
                values = [node.left, *node.comparators]
                for left, op, right in zip(values, node.ops, values[1:], strict=False):
                    pattern, other = _COMPARISONS[type(op)]
                    yield self._token(node, left, right, Operator.COMPARISON, pattern, other, names)
            case ast.BinOp() if not _is_type_or_text(node):
                pattern, other = _ARITHMETIC[type(node.op)]
                yield self._token(node, node.left, node.right, Operator.ARITHMETIC, pattern, other, names)
            case ast.BinOp():
                return
            case ast.BoolOp():
                word, other = (r"\band\b", "or") if isinstance(node.op, ast.And) else (r"\bor\b", "and")
                for left, right in zip(node.values, node.values[1:], strict=False):
                    yield self._token(node, left, right, Operator.BOOLEAN, word, other, names)
            case ast.UnaryOp(op=ast.Not()):
                start = self._start(node)
                end = start + len(re.match(rb"not\s*", self._source[start:]).group())  # type: ignore[union-attr]
                yield self._edit(node, Operator.NEGATION, b"", names, end=end)
            case ast.IfExp():
                yield from self._condition(node.test, names)
            case ast.Constant(value=bool() as value):
                yield self._edit(node, Operator.CONSTANT, str(not value).encode(), names)
            case ast.Constant(value=int() as value):
                yield self._edit(node, Operator.CONSTANT, _as_written(value + 1, self._text(node)), names)
            case ast.Lambda():
                yield from self._expression(node.body, names)
                return
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.comprehension):
                for condition in child.ifs:
                    yield from self._condition(condition, names)
                    yield from self._expression(condition, names)
                yield from self._expression(child.iter, names)
            elif isinstance(child, ast.keyword) and child.arg == "strict":
                continue  # of `zip`: it only says that lengths agree
            elif isinstance(child, ast.keyword):
                yield from self._expression(child.value, names)
            elif isinstance(child, ast.expr):
                yield from self._expression(child, names)

    # ── places ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.expr) -> bytes:
        return self._source[self._start(node) : self._end(node)]

    def _token(
        self,
        node: ast.expr | ast.stmt,
        left: ast.expr,
        right: ast.expr,
        operator: Operator,
        pattern: str,
        other: str,
        names: tuple[str, ...] | None,
    ) -> Mutant:
        """Change the operator that stands between two operands."""
        place = re.compile(pattern.encode()).search(self._source, self._end(left), self._start(right))
        assert place is not None, f"{self._path}:{node.lineno}: no {pattern}"
        line = self._source.count(b"\n", 0, place.start()) + 1
        lines = (node.lineno, node.end_lineno or node.lineno)
        runs = lines if isinstance(node, ast.expr) else (node.lineno, node.lineno)
        return Mutant(self._path, line, place.start(), place.end(), operator, other.encode(), runs, names=names or ())

    def _edit(
        self,
        node: ast.expr | ast.stmt,
        operator: Operator,
        text: bytes,
        names: tuple[str, ...] | None,
        *,
        runs: Sequence[ast.stmt] = (),
        end: int | None = None,
    ) -> Mutant:
        first, last = (runs[0], runs[-1]) if runs else (node, node)
        lines = (first.lineno, last.end_lineno or last.lineno)
        stop = self._end(node) if end is None else end
        return Mutant(
            self._path, node.lineno, self._start(node), stop, operator, text, lines, bool(runs), names=names or ()
        )


def _is_silent(call: ast.Call) -> bool:
    """Whether a call only logs or counts."""
    node: ast.expr = call
    while isinstance(node, (ast.Call, ast.Attribute)):
        node = node.func if isinstance(node, ast.Call) else node.value
        if isinstance(node, ast.Attribute) and node.attr.lstrip("_") in _SILENT:
            return True
    return isinstance(node, ast.Name) and node.id.lstrip("_") in _SILENT


def _is_empty(statement: ast.stmt) -> bool:
    """Whether a statement is there for readers or logs only."""
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call() as call) | ast.Assign(value=ast.Call() as call):
            return _is_silent(call)
    return False


def _is_type_or_text(node: ast.BinOp) -> bool:
    """Whether an operation unites types or joins texts or lists, where nothing else could stand."""
    if isinstance(node.op, ast.BitOr):
        return _is_type(node.left) and _is_type(node.right)
    return any(
        isinstance(operand, (ast.JoinedStr, ast.List, ast.Tuple))
        or (isinstance(operand, ast.Constant) and isinstance(operand.value, (str, bytes)))
        for operand in (node.left, node.right)
    )


def _is_type(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=None):
            return True
        case ast.Name(id=name):
            return name in _TYPES or (name[:1].isupper() and not name.isupper())
        case ast.Subscript(value=value):
            return _is_type(value)
        case ast.BinOp(op=ast.BitOr()):
            return _is_type(node.left) and _is_type(node.right)
    return False


def _as_written(value: int, before: bytes) -> bytes:
    """Write a number as the one before it is written: hexadecimal, or with underscores."""
    if before[:2].lower() == b"0x":
        return f"0x{value:0{len(before) - 2}x}".encode()
    return f"{value:_}".encode() if b"_" in before else str(value).encode()
