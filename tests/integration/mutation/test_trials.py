import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.mutation import nearest, sources
from tests.mutation.mutant import Mutant, Operator
from tests.mutation.trials import Copy, Outcome

MONEY = """
LIMIT = 10

def is_dust(amount):
    return amount < LIMIT

def unused(amount):
    return amount + LIMIT
"""
WAITING = """
def _longest():
    return 5

LONGEST = _longest()

def wait(amount):
    while amount > LONGEST:
        amount -= 1
"""
TEST = """
from shared.crypto.money import is_dust
from shared.crypto.waiting import wait

def test_a_small_amount_is_dust():
    assert is_dust(9)

def test_the_limit_is_no_dust():
    assert not is_dust(10)

def test_waiting_ends():
    wait(6)
"""
PATH = "shared/crypto/money.py"
WAITING_PATH = "shared/crypto/waiting.py"
TEST_FILE = "tests/unit/crypto/test_money.py"


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """A tree with one module and its tests, with the map of the lines that the tests run."""
    root = tmp_path_factory.mktemp("toy")
    for name, text in (
        (PATH, MONEY),
        (WAITING_PATH, WAITING),
        (TEST_FILE, TEST),
        ("shared/__init__.py", ""),
        (".gitignore", ".cache/\n"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["git", "init", "-q", "."], cwd=root, check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(sources.ROOT))
        nearest.trace(nearest.stale(root), nearest.base_environment(), 1, root)
    return root


@pytest.fixture(autouse=True)
def _harness_on_the_path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(sources.ROOT))


def changes(toy: Path, operator: Operator, line: str, path: str = PATH) -> Mutant:
    source = (toy / path).read_bytes()
    (found,) = (
        one for one in sources.mutants(path, source) if one.operator is operator and one.lines(source)[0] == line
    )
    return found


def names(tests) -> set[str]:
    return {test.id.partition("::")[2] for test in tests}


def test_each_line_has_the_tests_that_run_it(toy):
    known = nearest.Nearest(toy)
    limit = changes(toy, Operator.COMPARISON, "return amount < LIMIT")
    loop = changes(toy, Operator.COMPARISON, "while amount > LONGEST:", WAITING_PATH)
    assert names(known.tests(limit)[0]) == {"test_a_small_amount_is_dust", "test_the_limit_is_no_dust"}
    assert names(known.tests(loop)[0]) == {"test_waiting_ends"}
    assert nearest.stale(toy) == []


def test_a_constant_has_the_tests_that_run_a_line_which_reads_it(toy):
    constant = changes(toy, Operator.CONSTANT, "LIMIT = 10")
    near, _ = nearest.Nearest(toy).tests(constant)
    assert names(near) == {"test_a_small_amount_is_dust", "test_the_limit_is_no_dust"}


def test_what_runs_at_import_has_all_tests_of_its_module(toy):
    known = nearest.Nearest(toy)
    longest = changes(toy, Operator.CONSTANT, "return 5", WAITING_PATH)
    loop = changes(toy, Operator.ARITHMETIC, "amount -= 1", WAITING_PATH)
    assert known.tests(longest) == (set(), known.tests(loop)[0])
    assert known.tests(loop)[1] == set()


def test_a_change_is_noticed_or_not_and_the_tree_is_left_alone(toy):
    known = nearest.Nearest(toy)
    with Copy(toy, threading.Event()) as copy:

        def outcome(operator: Operator, line: str, keep=lambda test: True):
            mutant = changes(toy, operator, line)
            return copy.try_change(mutant, [test for test in known.tests(mutant)[0] if keep(test)])

        noticed = outcome(Operator.COMPARISON, "return amount < LIMIT")
        unnoticed = outcome(Operator.COMPARISON, "return amount < LIMIT", lambda test: "small" in test.id)
        assert (noticed.outcome, noticed.remark.partition("::")[2]) == (Outcome.NOTICED, "test_the_limit_is_no_dust")
        assert unnoticed.outcome is Outcome.UNNOTICED
        assert (
            copy.try_change(changes(toy, Operator.ARITHMETIC, "return amount + LIMIT"), []).outcome is Outcome.UNNOTICED
        )
        assert (copy.root / PATH).read_text() == MONEY
    assert not copy.root.exists()
    assert (toy / PATH).read_text() == MONEY


def test_a_change_that_never_ends_is_noticed(toy, monkeypatch):
    monkeypatch.setattr("tests.mutation.trials.TEST_TIMEOUT", 1)
    endless = changes(toy, Operator.ARITHMETIC, "amount -= 1", WAITING_PATH)
    with Copy(toy, threading.Event()) as copy:
        trial = copy.try_change(endless, list(nearest.Nearest(toy).tests(endless)[0]))
    assert trial.outcome is Outcome.NOTICED


def test_the_quickest_tests_come_first_file_by_file():
    tests = [nearest.Test(name, seconds) for name, seconds in (("b::1", 3), ("a::1", 2), ("b::2", 1), ("c::1", 9))]
    assert [test.id for test in nearest.within(tests, [], 7)] == ["a::1", "b::2", "b::1"]
    assert [test.id for test in nearest.within(tests[:1], tests, 7)] == ["b::1", "b::2", "a::1"]


def test_the_report_names_what_passed_unnoticed(toy):
    command = [sys.executable, "-m", "tests.mutation", "--tree", str(toy), "--jobs", "1", "--only", PATH]
    result = subprocess.run(command, cwd=sources.ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    assert f"{PATH}:8: operator swapped\n- return amount + LIMIT\n+ return amount - LIMIT\n" in result.stdout
    assert "comparison turned\n- return amount < LIMIT" not in result.stdout
    assert "unnoticed" in result.stdout.splitlines()[-1]


def test_an_interrupt_leaves_no_copy_and_no_process_behind(toy, tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]  # as a shell starts what it puts into the background
    command += [sys.executable, "-m", "tests.mutation", "--tree", str(toy), "--jobs", "1"]
    child = subprocess.Popen(command, cwd=sources.ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("warren-mutation-*/.cache/output")):
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, error = child.communicate(timeout=30)
    finally:
        child.kill()
        child.wait()
    assert error == "stopped; the tree is as it was\n"
    assert list(tmp_path.glob("warren-mutation-*")) == []
    assert (toy / PATH).read_text() == MONEY
