"""Specialists: what they read, what they are told, and which findings count."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.waiting import FakeWaiting, call

from nova_node.capabilities import specialists
from nova_node.capability import Ask, AskFailed, BadArgument, Failed, Files
from nova_node.models.specialists import pack as packs
from nova_node.models.specialists.chunks import OVERLAP_LINES, chunks_of
from nova_node.models.specialists.findings import PER_CHUNK_MAX, findings_of, merged
from nova_node.models.specialists.source import Line, Source, from_diff, from_files

DIFF = """\
diff --git a/shop/cart.py b/shop/cart.py
index 1111111..2222222 100644
--- a/shop/cart.py
+++ b/shop/cart.py
@@ -10,4 +10,5 @@ class Cart:
     def total(self):
-        return sum(self.prices)
+        total = 0
+        for price in self.prices[1:]:
+            total += price
         return total
--- a comment in a hunk would look like this
@@ -40 +41,2 @@
+++ plus
 context
diff --git a/logo.png b/logo.png
Binary files a/logo.png and b/logo.png differ
diff --git a/old.py b/old.py
deleted file mode 100644
--- a/old.py
+++ /dev/null
@@ -1,2 +0,0 @@
-import os
-print(os)
diff --git "a/na\\303\\257ve.py" "b/na\\303\\257ve.py"
new file mode 100644
--- /dev/null
+++ "b/na\\303\\257ve.py"
@@ -0,0 +1 @@
+x = 1
"""


def finding(**other: Any) -> dict[str, Any]:
    return {
        "file": "shop/cart.py",
        "line": 12,
        "severity": "high",
        "quote": "for price in self.prices[1:]:",
        "title": "the first price is left out",
        "explanation": "the slice starts at 1",
        "suggestion": "leave the slice out",
        **other,
    }


# ---------------------------------------------------------------- what they read


def test_a_diff_is_read_as_its_files_are_after_it() -> None:
    sources, skipped = from_diff(DIFF)
    assert [each.name for each in sources] == ["shop/cart.py", "naïve.py"]
    assert [(s.name, s.why[:7]) for s in skipped] == [
        ("logo.png", "nothing"),
        ("old.py", "nothing"),
    ]
    lines = {line.number: line.text for line in sources[0].lines if line.number}
    assert lines[12] == "        for price in self.prices[1:]:"
    assert lines[41] == "++ plus"
    removed = [line for line in sources[0].lines if line.mark == "-"]
    assert [line.text.strip() for line in removed] == [
        "return sum(self.prices)",
        "-- a comment in a hunk would look like this",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no diff at all",
        "@@ -1 +1 @@\n+orphan",
        "diff --git",
        "+++ b/x\n@@ -1,9 +1,9 @@\n+cut off",
        "diff --git a/x b/x\n@@ -1 +9999999999 @@\n+x",
        "+++ \n@@ -1 +1 @@\n+x",
        "+++ b/x\n@@ -1 +" + "9" * 5000 + " @@\n+x",
        '+++ "b/\\777\\303"\n@@ -1 +1 @@\n+x',
    ],
)
def test_no_text_breaks_the_reader(text: str) -> None:
    sources, skipped = from_diff(text)
    assert len(sources) + len(skipped) <= 1


def test_files_that_are_not_text_are_skipped_and_named() -> None:
    files = [("a.py", b"x = 1\n"), ("b.png", b"\x89PNG\0"), ("c", b"\xff\xfe"), ("d", b" \n")]
    sources, skipped = from_files(files)
    assert [each.name for each in sources] == ["a.py"]
    assert [(s.name, s.why) for s in skipped] == [
        ("b.png", "not text"),
        ("c", "not text"),
        ("d", "empty"),
    ]


def made(name: str, lines: int) -> Source:
    return Source(name, tuple(Line(n, " ", f"line {n:>6}") for n in range(1, lines + 1)))


def test_small_files_share_a_prompt_and_large_ones_are_cut_with_an_overlap() -> None:
    sources = [made("small", 5), made("other", 5), made("large", 400), made("last", 5)]
    chunks = chunks_of(sources, 700)
    assert [[part.name for part in chunk.parts] for chunk in chunks] == [
        *(["small", "other"], ["large"], ["large"], ["large"], ["large"], ["large", "last"])
    ]
    assert all(len(chunk.text) < 700 * 3 * 1.2 for chunk in chunks)
    large = [part for chunk in chunks for part in chunk.parts if part.name == "large"]
    assert {line.number for part in large for line in part.lines} == set(range(1, 401))
    for one, next_one in pairwise(large):
        assert one.lines[-OVERLAP_LINES:] == next_one.lines[:OVERLAP_LINES]


def test_lines_of_any_length_end() -> None:
    long = Source("long", tuple(Line(n, " ", "x" * 100_000) for n in range(1, 50)))
    chunks = chunks_of([long], 200)
    assert [line.number for c in chunks for p in c.parts for line in p.lines] == [*range(1, 50)]
    assert chunks_of([], 200) == []


# ---------------------------------------------------------------- which findings count


def checked(*raw: Any, needs_suggestion: bool = False) -> tuple[list[Any], dict[str, int]]:
    found, dropped = findings_of({"findings": [*raw]}, from_diff(DIFF)[0], needs_suggestion)
    return found, dict(dropped)


def test_a_finding_that_points_at_what_is_there_counts() -> None:
    (found,), dropped = checked(
        finding(file="b/shop/cart.py", quote="  for price in  self.prices[1:]:")
    )
    assert (found.file, found.line, found.severity) == ("shop/cart.py", 12, "high")
    assert not dropped


def test_a_line_that_was_miscounted_is_put_right_by_its_quote() -> None:
    (found,), _ = checked(finding(line=10))
    assert found.line == 12


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"file": "shop/car.py"}, "file"),
        ({"file": "old.py"}, "file"),
        ({"file": "/etc/passwd"}, "file"),
        ({"line": 30}, "line"),
        ({"line": 0}, "line"),
        ({"line": -1}, "line"),
        ({"line": "12"}, "form"),
        ({"line": True}, "form"),
        ({"quote": "for price in prices:"}, "quote"),
        ({"quote": ""}, "quote"),
        ({"quote": "return sum(self.prices)"}, "quote"),
        ({"severity": "catastrophic"}, "form"),
        ({"title": " "}, "form"),
        ({"explanation": None}, "form"),
        ({"suggestion": " "}, "suggestion"),
    ],
)
def test_a_finding_that_points_at_nothing_is_dropped_and_counted(
    other: dict[str, Any], why: str
) -> None:
    found, dropped = checked(finding(**other), finding(), needs_suggestion=True)
    assert len(found) == 1
    assert dropped == {why: 1}


@pytest.mark.parametrize("parsed", [None, 3, [], {}, {"findings": "none"}, {"findings": None}])
def test_an_answer_without_the_form_is_one_that_was_dropped(parsed: Any) -> None:
    assert findings_of(parsed, [], False) == ([], {"form": 1})


def test_findings_are_bounded_in_number_and_size() -> None:
    many = [finding(explanation="x" * 10_000, title="t\n" * 500) for _ in range(PER_CHUNK_MAX + 7)]
    found, dropped = checked(*many, 3)
    assert (len(found), dropped) == (PER_CHUNK_MAX, {"many": 8})
    assert len(found[0].explanation) == 2_000
    assert len(found[0].title) == 200
    assert "\n" not in found[0].title


def test_the_worst_come_first_and_the_same_comes_once() -> None:
    rows = [
        finding(severity="low", title="B"),
        finding(),
        finding(title="The first price  is left out"),
    ]
    found, _ = checked(*rows)
    kept, twice = merged(found)
    assert [(each.severity, each.title) for each in kept] == [
        *(("high", "the first price is left out"), ("low", "B"))
    ]
    assert twice == 1


# ---------------------------------------------------------------- the capabilities


def answers(*found: Any) -> Any:
    def script(ask: Ask) -> dict[str, Any]:
        return {"text": json.dumps({"findings": found}), "parsed": {"findings": [*found]}}

    return script


def looked(waiting: FakeWaiting, what: Any = specialists.review_code, **how: Any) -> dict[str, Any]:
    return call(waiting, lambda: what(**how))


def test_a_diff_is_reviewed() -> None:
    waiting = FakeWaiting(answers(finding(), finding(file="nowhere.py")), allowance_uusd=900)
    told = looked(waiting, diff=DIFF, about="adds up the cart", model="ma", local_only=True)
    (found,) = told["findings"]
    assert (found["file"], found["line"], found["title"]) == (
        *("shop/cart.py", 12),
        "the first price is left out",
    )
    assert told["counts"] == {"high": 1, "medium": 0, "low": 0}
    assert told["dropped"] == {"file": 1}
    assert (told["files"], told["prompts"], told["pack"]) == (2, 1, "review.code/1")
    assert [each["file" if "file" in each else "name"] for each in told["skipped"]] == [
        "logo.png",
        "old.py",
    ]
    assert round(told["cost_usd"], 9) == 0.0001
    (ask,) = waiting.asked
    assert (ask.labels, ask.allowance_uusd) == ({"models.local": "yes"}, 900)
    content: Any = ask.args["messages"]
    assert "   12 +         for price in self.prices[1:]:" in content[0]["content"]
    assert "adds up the cart" in content[0]["content"]
    assert "off by one" in str(ask.args["system"])
    assert waiting.said == "shop/cart.py and 1 more: 1 findings, 1 dropped\n"


def test_a_folder_is_spread_over_many_prompts_and_models(tmp_path: Path) -> None:
    for n in range(12):
        (tmp_path / f"m{n}.py").write_text(f"def f{n}():\n" + "    pass  # nothing here\n" * 20)
    waiting = FakeWaiting(answers())
    files = Files.from_paths(*sorted(tmp_path.iterdir()))
    told = looked(
        waiting, specialists.write_tests, files=files, models=["ma", "mb"], chunk_tokens=300
    )
    assert (told["prompts"], told["files"], told["findings"]) == (12, 12, [])
    assert waiting.at_once_most == 12
    assert {each["models"][0] for each in waiting.prompts()} == {"ma", "mb"}


def test_a_prompt_that_fails_is_told_and_all_of_them_fail_the_task() -> None:
    busy = AskFailed("model_rate_limited", "too many", "wait", retryable=True)
    left: list[Any] = [busy, *[answers()] * 9]

    def script(ask: Ask) -> Any:
        step = left.pop(0)
        return step if isinstance(step, AskFailed) else step(ask)

    told = looked(FakeWaiting(script), diff=DIFF * 4, chunk_tokens=200)
    assert [each["code"] for each in told["failed"]] == ["model_rate_limited"]
    with pytest.raises(Failed) as caught:
        looked(FakeWaiting(lambda _: busy), diff=DIFF)
    assert caught.value.code == "model_rate_limited"


def test_where_the_node_drains_no_part_passes_for_the_whole() -> None:
    drains = AskFailed("draining", "this node is draining", "elsewhere", retryable=True)
    left: list[Any] = [drains]

    def script(ask: Ask) -> Any:
        return left.pop() if left else answers()(ask)

    with pytest.raises(Failed) as caught:
        looked(FakeWaiting(script), diff=DIFF * 4, chunk_tokens=200)
    assert (caught.value.code, caught.value.retryable) == ("draining", True)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"diff": "  "},
        {"diff": "no diff"},
        {"diff": DIFF, "chunk_tokens": 1},
        {"diff": DIFF, "about": "x" * 5000},
    ],
)
def test_a_wrong_call_is_refused(how: dict[str, Any]) -> None:
    with pytest.raises(BadArgument) as caught:
        looked(FakeWaiting(answers()), **how)
    assert caught.value.fix


@pytest.mark.parametrize("name", packs.names())
def test_each_pack_is_whole_and_has_its_capability(name: str) -> None:
    pack = packs.pack(name)
    told = packs.system(pack)
    assert set(pack.severities) == {"high", "medium", "low"}
    assert all(line in told for line in (*pack.looks_for, *pack.leaves))
    assert "{" not in told.replace('{"findings": [...]}', "")
    assert getattr(specialists, name.replace(".", "_")).name == name


def test_the_packs_are_five() -> None:
    assert len(packs.names()) == 5
