import ast
from textwrap import dedent

import pytest

from tests.mutation.lua_changes import changes as lua_changes
from tests.mutation.mutant import Operator
from tests.mutation.python_changes import changes
from tests.mutation.sources import ROOT, Reviewed, mutants, paths, sample


def made(source: str, operator: Operator | None = None, find=changes) -> list[str]:
    """Return each change as `before → after`, of one line."""
    data = dedent(source).strip().encode()
    found = [one.lines(data) for one in find("m", data) if operator in (None, one.operator)]
    return [f"{before} → {after}" for before, after in found]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = a < b", "x = a <= b"),
        ("x = a <= b", "x = a < b"),
        ("x = a > b", "x = a >= b"),
        ("x = a >= b", "x = a > b"),
        ("x = a == b", "x = a != b"),
        ("x = a != b", "x = a == b"),
        ("x = a is b", "x = a is not b"),
        ("x = a is  not b", "x = a is b"),
        ("x = a in b", "x = a not in b"),
        ("x = a not in b", "x = a in b"),
        ("x = (a + 1) < (b)", "x = (a + 1) <= (b)"),
    ],
)
def test_a_comparison_is_turned(before, after):
    assert made(before, Operator.COMPARISON) == [f"{before} → {after}"]


def test_each_comparison_of_a_chain_is_turned_alone():
    assert made("x = 'ä' <= a < b", Operator.COMPARISON) == [
        "x = 'ä' <= a < b → x = 'ä' < a < b",
        "x = 'ä' <= a < b → x = 'ä' <= a <= b",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = a + b", "x = a - b"),
        ("x = a - b", "x = a + b"),
        ("x = a * b", "x = a // b"),
        ("x = a // b", "x = a * b"),
        ("x = a ** b", "x = a * b"),
        ("x = a % b", "x = a * b"),
        ("x = a << b", "x = a >> b"),
        ("x = a & b", "x = a | b"),
        ("x = a | b", "x = a & b"),
        ("x += a", "x -= a"),
        ("x = min(a)", "x = max(a)"),
        ("x = any(a)", "x = all(a)"),
    ],
)
def test_an_operator_is_swapped(before, after):
    assert made(before, Operator.ARITHMETIC) == [f"{before} → {after}"]


def test_a_call_and_a_deletion_are_left_out():
    assert made("f(x).g()", Operator.CALL) == ["f(x).g() → pass"]
    assert made("del x[a]", Operator.CALL) == ["del x[a] → pass"]


@pytest.mark.parametrize("leave", ["raise E", "return", "continue", "break"])
def test_a_guard_is_dropped(leave):
    assert made(f"def f():\n while x:\n  if a:\n   {leave}\n", Operator.GUARD) == ["if a: → if False:"]


def test_only_a_test_that_runs_what_was_guarded_can_notice():
    (guard,) = (
        one for one in changes("m", b"def f():\n    if a:\n        raise E\n") if one.operator is Operator.GUARD
    )
    assert (guard.runs, guard.exact) == ((3, 3), True)


def test_a_branch_is_dropped():
    source = "if a:\n    b = c\nelif d:\n    e = f\nelse:\n    g = h\n"
    assert made(source, Operator.BRANCH) == ["if a: → if False:", "elif d: → elif False:", "g = h → pass"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1", "x = 2"),
        ("x = -1", "x = -2"),
        ("x = 0x0f", "x = 0x10"),
        ("x = 1_999", "x = 2_000"),
        ("x = True", "x = False"),
        ("def f(x=3): pass", "def f(x=4): pass"),
    ],
)
def test_a_constant_is_changed(before, after):
    assert made(before, Operator.CONSTANT) == [f"{before} → {after}"]


def test_and_and_or_are_swapped():
    assert made("x = a and b or c", Operator.BOOLEAN) == [
        "x = a and b or c → x = a or b or c",
        "x = a and b or c → x = a and b and c",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = not a", "x = a"),
        ("x = not (a or b)", "x = (a or b)"),
        ("x = b if a else c", "x = b if not a else c"),
        ("x = [a for a in b if a.c]", "x = [a for a in b if not a.c]"),
        ("while a: b = c", "while not a: b = c"),
        ("if a := b: c = d", "if not (a := b): c = d"),
        ("if (a := b): c = d", "if (not (a := b)): c = d"),
    ],
)
def test_a_not_is_added_or_removed(before, after):
    assert made(before, Operator.NEGATION) == [f"{before} → {after}"]


def test_each_part_of_a_condition_is_negated_alone():
    assert made("if a and b == c and d(): e = f", Operator.NEGATION) == [
        "if a and b == c and d(): e = f → if not a and b == c and d(): e = f",
        "if a and b == c and d(): e = f → if a and b == c and not d(): e = f",
    ]


def test_a_return_value_is_dropped():
    assert made("def f(): return g(a)", Operator.RETURN) == ["def f(): return g(a) → def f(): return None"]
    assert made("def f(): return None") == []


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring with 1 < 2."""',
        "x: int | None",
        "def f(x: list[int | str]) -> int | None: ...",
        "Alias = int | None",
        "__slots__ = ('a', 1)",
        "if TYPE_CHECKING:\n    x = 1",
        "log.info('%d', 1 + 1)",
        "metrics.SEEN.labels(a).inc(1)",
        "self._log.warning(1)",
        "raise E(1, f'{a + 1}')",
        "x = f'{a + 1}'",
        "x = zip(a, b, strict=True)",
        "x = 'a' + b",
        "def __repr__(self):\n    return a + 1",
        "@dataclass(frozen=True)\nclass C: ...",
    ],
)
def test_what_has_no_behaviour_is_not_changed(source):
    assert made(source) == []


def test_a_condition_of_logging_alone_is_not_changed():
    assert made("if a > 1:\n    fields = with_fields(b=1)\n    log.info(b, extra=fields)\n    metrics.C.inc()\n") == []
    assert made("if a > 1:\n    log.info(b)\nelse:\n    c = d\n") != []


def test_a_statement_outside_of_functions_says_what_it_assigns():
    (limit,) = changes("m", b"LIMIT = 7\n")
    (attribute,) = changes("m", b"class C:\n    size: int = 7\n")
    (inside,) = changes("m", b"def f():\n    size = 7\n")
    assert (limit.names, attribute.names, inside.names) == (("LIMIT",), ("size",), ())


def test_a_lua_script_is_changed_line_by_line():
    source = """
    -- if a == b then call('DEL', 1) end
    if a == '<' then call('DEL', f(x)) end
    redis.call('SET',
      key)
    """
    assert made(source, find=lua_changes) == [
        "if a == '<' then call('DEL', f(x)) end → if a ~= '<' then call('DEL', f(x)) end",
        "if a == '<' then call('DEL', f(x)) end → if a == '<' then do end end",
        "redis.call('SET',\nkey) → do end",
    ]
    assert made("x = y[1]", find=lua_changes) == ["x = y[1] → x = y[2]"]


def test_every_changed_module_can_still_be_parsed():
    for path in paths():
        source = (ROOT / path).read_bytes()
        for mutant in mutants(path, source)[::40]:  # all of them take half a minute
            changed = mutant.apply(source)
            assert changed != source
            if path.endswith(".py"):
                ast.parse(changed)


def test_a_sample_hangs_on_the_seed_and_on_nothing_else():
    before = b"def f(a):\n    return a < 1 and a > 2 or a == 3 or a != 4 or a < 5\n"
    after = b"# moved\n" + before
    drawn = [sample(changes("m", text), {"m": text}, 6, 1) for text in (before, after)]
    other = sample(changes("m", before), {"m": before}, 6, 2)
    assert [one.lines(before) for one in drawn[0]] == [one.lines(after) for one in drawn[1]]
    assert other != drawn[0]
    assert {one.operator for one in drawn[0]} == {one.operator for one in changes("m", before)}


def test_a_reviewed_change_is_known_by_its_text():
    reviewed = Reviewed([{"path": "m", "before": "x = 1", "after": "x = 2", "why": "nobody reads it"}])
    source = b"\n\nif a:\n    x = 1\n    x = 3\n"
    found = {one.lines(source)[1]: reviewed.why(one, source) for one in changes("m", source)}
    assert found["x = 2"] == "nobody reads it"
    assert found["x = 4"] is None


def test_every_reviewed_change_is_one_that_is_made():
    made_changes = set()
    for path in paths():
        source = (ROOT / path).read_bytes()
        made_changes |= {(path, *mutant.lines(source)) for mutant in mutants(path, source)}
    assert Reviewed.load().changes() <= made_changes, (
        "the code has changed: remove these from tests/mutation/reviewed.toml"
    )
