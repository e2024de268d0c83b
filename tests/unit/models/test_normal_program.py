"""What makes two programs one."""

from __future__ import annotations

import pytest

from nova_node.models.normal_program import normal

PLAIN = "def square(n, power=2):\n    total = n ** power\n    return total\n"
SAME = {
    "formatting and comments": "def square( n,power = 2 ) :  # squares\n  total=(n**power)\n  return total",
    "docstrings": 'def square(n, power=2):\n    """Squares."""\n    total = n ** power\n    return total',
    "names of locals": "def square(x, p=2):\n    result = x ** p\n    return result",
    "annotations": "def square(n: int, power: int = 2) -> int:\n    total = n ** power\n    return total",
}
OTHER = {
    "another constant": PLAIN.replace("=2", "=3"),
    "another operator": PLAIN.replace("**", "*"),
    "another name": PLAIN.replace("square", "cube"),
    "names swapped": "def square(n, power=2):\n    total = power ** n\n    return total\n",
    "a global": "def square(n, power=2):\n    global total\n    total = n ** power\n    return total",
}


def digest(code: str, entry: str = "square") -> str:
    return normal(code, entry)["digest"]


@pytest.mark.parametrize("what", SAME)
def test_they_are_one(what: str) -> None:
    assert digest(SAME[what]) == digest(PLAIN)


@pytest.mark.parametrize("what", OTHER)
def test_they_are_two(what: str) -> None:
    entry = "cube" if "cube" in OTHER[what] else "square"
    assert digest(OTHER[what], entry) != digest(PLAIN)


def test_inner_functions_and_closures_follow_their_names() -> None:
    one = "def f(xs):\n    def down(x): return -x\n    return sorted(xs, key=down)"
    other = "def f(ys):\n    def order(y): return -y\n    return sorted(ys, key=order)"
    third = "def f(ys):\n    def order(y): return y\n    return sorted(ys, key=order)"
    assert digest(one, "f") == digest(other, "f") != digest(third, "f")


def test_what_is_told_of_it() -> None:
    told = normal('def f(a, *b, c: int = 1):\n    """Does it.\n\n    More."""', "f")
    assert (told["signature"], told["doc"]) == ("f(a, *b, c: int=1)", "Does it.\n\nMore.")


@pytest.mark.parametrize("code", ["x = 1", "def f(", "(" * 5000, "f = " + "-" * 100_000 + "1"])
def test_what_is_no_such_program_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match=r"defines no|cannot be read"):
        normal(code, "f")
