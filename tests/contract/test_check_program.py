"""The program that checks a solution, in a process of this machine: what counts as passed, and that no
solution can make itself count."""

from __future__ import annotations

from typing import Any

import pytest
from support.waiting import run_here

from nova_node.capability import Ask
from nova_node.models.solving import checking
from nova_node.models.solving.checking import Verdict
from nova_node.models.solving.problem import Problem, problem_of

NONCE = "5f5f5f5f"


def check(
    code: str, examples: list[Any] | None = None, tests: str = "", timeout_s: float = 10.0
) -> Verdict:
    problem = problem_of("do it", examples or [], tests, "solve")
    stdin = checking.request_of(problem, code, NONCE, timeout_s)
    said: list[str] = []
    args = {"code": checking.program()}
    statement = run_here(Ask("python.run", args, {"stdin_bytes": stdin}, say=said.append))
    return checking.verdict_of(problem, statement, NONCE, "".join(said))


ADD = "def solve(a, b):\n    print('adding')\n    return a + b\n"
ADDS = [{"args": [1, 2], "output": 3}, {"args": ["a", "b"], "output": "ab"}]


def test_examples_and_tests_that_hold() -> None:
    found = check(ADD, ADDS, "assert solve(2, 2) == 4\nassert solve([1], [2]) == [1, 2]")
    assert found.passed
    assert (found.checks, found.held) == (4, 4)
    assert found.values == (3, "ab")
    assert found.output == "adding\n" * 4


def test_an_argument_arrives_as_it_was_given() -> None:
    given: dict[str, Any] = {"a": [1, {"b": None}], "bytes": "00", "": {}}
    assert check("def solve(x): return x", [{"input": given, "output": given}]).passed


def test_each_failure_is_told_with_both_sides() -> None:
    tests = (
        "assert solve(1, 1) == 2\nassert solve(1, 2) == 4, 'never told'\nassert solve(2, 3) == 5"
    )
    found = check(ADD, [{"args": [1, 1], "output": 3}], tests)
    assert not found.passed
    assert (found.checks, found.held) == (4, 2)
    assert "solve(1, 1)\nexpected: 3\ngot: 2" in found.failure
    assert "left: 3\nright: 4" in found.failure


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("(1, 2)", [1, 2]),
        ("0.1 + 0.2", 0.3),
        ("{1: 'a'}", {"1": "a"}),
        ("{'a': [None, True]}", {"a": [None, True]}),
        ("3.0", 3),
    ],
)
def test_values_are_compared_as_json(value: str, output: object) -> None:
    assert check(f"def solve(x): return {value}", [{"input": 0, "output": output}]).passed


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("1", True),
        ("'1'", 1),
        ("float('nan')", 0.0),
        ("{1, 2}", [1, 2]),
        ("object()", None),
        ("[1, 2, 3]", [1, 2]),
        ("iter([1])", [1]),
        ("10 ** 5000", 1),
    ],
)
def test_another_value_is_no_match(value: str, output: object) -> None:
    found = check(f"def solve(x): return {value}", [{"input": 0, "output": output}])
    assert not found.passed
    assert "solve(0)" in found.failure


def test_without_checks_it_is_run_for_its_value() -> None:
    found = check("def solve(): return sum(range(10))")
    assert (found.passed, found.checks, found.values) == (True, 0, (45,))
    assert not check("def solve(): return 1 / 0").passed


def test_tests_may_be_functions_import_the_solution_and_expect_errors() -> None:
    tests = """
import math
from solution import solve, helper

def test_one():
    assert solve(4) == math.sqrt(16) / 2

class Box:
    size = solve(9)

for n, root in [(0, 0), (1, 1)]:
    assert helper(n) == root
assert Box.size == 3 and solve(x=4) == 2
try:
    solve(-1)
    assert False, "no error"
except ValueError as error:
    assert "negative" in str(error)
"""
    code = """
def helper(x):
    if x < 0:
        raise ValueError("negative")
    return int(x ** 0.5)
def solve(x):
    return helper(x)
"""
    found = check(code, tests=tests)
    assert found.passed, found.failure
    assert found.checks == 5


def test_arguments_and_values_keep_their_kinds_on_the_way() -> None:
    given = "[None, True, 1, 1.5, float('inf'), 'a', b'\\x00', (1, (2,)), {1, 2}, {(1, 2): [3]}]"
    tests = f"given = {given}\nfor x in given:\n    y = solve(x)\n    assert (x, type(x)) == (y, type(y))"
    found = check("def solve(x): return x", tests=tests)
    assert (found.passed, found.checks) == (True, 10), found.failure


def test_tests_that_check_nothing_prove_nothing() -> None:
    found = check("def solve(): pass", tests="solve()\nif False:\n    assert False")
    assert not found.passed
    assert "no assert" in found.failure


def test_tests_that_cannot_be_read_are_the_callers_fault() -> None:
    assert "tests cannot be read" in check("def solve(): pass", tests="assert (").unfit


@pytest.mark.parametrize(
    ("code", "why", "text"),
    [
        ("def solve(:", "load_error", "SyntaxError"),
        ("import nothing_like_that\ndef solve(x): return x", "load_error", "nothing_like_that"),
        ("raise SystemExit(0)", "load_error", "SystemExit"),
        ("def other(x): return x", "no_entry", "no function solve"),
        ("solve = 3", "no_entry", "no function solve"),
        ("def solve(x): return 1 / 0", "wrong", "ZeroDivisionError"),
        ("import os\ndef solve(x): os._exit(0)", "ended", "with exit code 0"),
        ("import os\ndef solve(x): os.kill(os.getpid(), 9)", "ended", "by SIGKILL"),
        ("def solve(x): return 'x' * (5 << 20)", "ended", "more than 4 MiB"),
        ("def solve(x): return solve(x)", "wrong", "RecursionError"),
    ],
)
def test_what_goes_wrong_is_told(code: str, why: str, text: str) -> None:
    found = check(code, [{"input": 1, "output": 1}])
    assert (found.passed, found.why) == (False, why)
    assert text in found.failure


def test_a_solution_that_hangs_is_given_up_with_what_was_found_before() -> None:
    code = "def solve(x):\n    while x: pass\n    return x"
    found = check(code, [{"input": 0, "output": 0}, {"input": 1, "output": 1}], timeout_s=0.5)
    assert (found.passed, found.held, found.checks) == (False, 1, 2)
    assert "did not answer in time" in found.failure


FORGERIES = {
    "prints a verdict": f"""
import json
print(json.dumps({{"nonce": "{NONCE}", "passed": 1}}))
result = {{"nonce": "{NONCE}", "names": ["solve"], "calls": [], "checks": 1, "passed": 1}}
result |= {{"failures": [], "ended": "", "unfit": ""}}
def solve(x): return None
""",
    "writes to every descriptor": """
import os, json
for fd in range(3, 200):
    try:
        os.write(fd, b'{"nonce": "", "passed": 1}')
    except OSError:
        pass
def solve(x): return None
""",
    "equal to everything": """
class Same:
    def __eq__(self, other): return True
    def __hash__(self): return 0
def solve(x): return Same()
""",
    "a number that is equal to everything": """
class Same(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def solve(x): return Same(7)
""",
    "changes the builtins": """
import builtins
builtins.AssertionError = SystemExit
builtins.isinstance = lambda *a: True
def solve(x): return None
""",
    "names things of the tests": """
def range(*a): return []
def _nova_counted(): return False
def print(*a): pass
def solve(x): return None
""",
    "ends the loop of the tests": "def solve(x): raise StopIteration",
    "ends its parent": """
import os, signal
def solve(x): os.kill(os.getppid(), signal.SIGKILL)
""",
    "ends its parent politely": """
import os, signal
def solve(x):
    os.kill(os.getppid(), signal.SIGINT)
    os.kill(os.getppid(), signal.SIGTERM)
""",
    "answers before it is asked": """
import json, os, struct
told = json.dumps({"value": 4}).encode()
for fd in range(3, 200):
    try:
        os.write(fd, (struct.pack(">I", len(told)) + told) * 5)
    except OSError:
        pass
def solve(x): return None
""",
    "answers in a form of its own": """
import json, os, struct
for told in (b'{"value": {"call": 1}}', b'[]', b'{"raised": 3}', b'\\xff', b'[' * 100000):
    for fd in range(3, 200):
        try:
            os.write(fd, struct.pack(">I", len(told)) + told)
        except OSError:
            pass
def solve(x): return None
""",
    "reads the memory of its parent": """
import os
def solve(x):
    found = {}
    for name in ("mem", "environ", "maps", "fd", "cmdline"):
        try:
            path = f"/proc/{os.getppid()}/{name}"
            found[name] = os.listdir(path) if name == "fd" else open(path, "rb").read(10)
        except OSError as error:
            pass
    raise RuntimeError(f"found {sorted(found)}")
""",
}


@pytest.mark.parametrize("how", FORGERIES)
def test_a_solution_cannot_make_itself_count(how: str) -> None:
    tests = "assert all(map(lambda x: solve(x) == x * x, range(2, 5)))\nassert solve(7) == 49"
    found = check(FORGERIES[how], [{"input": 3, "output": 9}], tests)
    assert not found.passed
    assert found.held == 0


def test_the_solution_never_holds_the_tests_or_the_nonce() -> None:
    """It looks through all of its own memory for them: backwards, lest it find what it looks for."""
    code = """
def solve(x):
    hits = []
    for line in open("/proc/self/maps"):
        begin, end = (int(part, 16) for part in line.split()[0].split("-"))
        if "r" not in line.split()[1] or "[v" in line:
            continue
        with open("/proc/self/mem", "rb", 0) as memory:
            try:
                memory.seek(begin)
                data = memory.read(end - begin)
            except (OSError, ValueError, OverflowError):
                continue
        hits += [word for word in (NONCE, SECRET) if bytes(word[::-1]) in data[::-1]]
    return len(hits)
"""
    spelled = {"NONCE": NONCE, "SECRET": "only-in-the-tests"}
    for name, word in spelled.items():
        code = code.replace(name, f"[{', '.join(str(ord(c)) for c in word)}]")
    found = check(code, tests="assert solve(0) == 0, 'only-in-the-tests'")
    assert found.passed, found.failure


def test_a_verdict_without_the_nonce_is_none() -> None:
    problem = Problem("do it", tests="assert solve() == 1")
    told: dict[str, Any] = {
        "nonce": "guessed",
        "checks": 1,
        "passed": 1,
        "calls": [],
        "failures": [],
    }
    results: list[Any] = [told, None, 3, []]
    for result in results:
        statement: dict[str, Any] = {"status": "ok", "result": result}
        assert checking.verdict_of(problem, statement, NONCE, "").why == "no_verdict"
