"""The evaluation sets of the specialists, with the scripted model: what is left of its nonsense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.evaluation_sets import Score, cases, fits, names, scripted
from support.waiting import FakeWaiting, call

from nova_node.capabilities import specialists
from nova_node.capability import Ask, Files
from nova_node.models.specialists import pack as packs

#: found, right, expected, met, dropped: of what the scripted model says, which is no measure of any other
SCORES = {
    "review.code": (7, 6, 6, 6, 2),
    "review.performance": (5, 5, 6, 5, 1),
    "review.security": (5, 5, 6, 5, 3),
    "write.docs": (4, 4, 4, 4, 1),
    "write.tests": (5, 5, 5, 5, 2),
}


def answer(ask: Ask) -> dict[str, Any]:
    messages: Any = ask.args["messages"]
    text = scripted(messages[0]["content"])
    return {"text": text, "parsed": json.loads(text)}


def test_each_specialist_has_five_cases_or_more_one_of_them_clean() -> None:
    assert names() == packs.names()
    marks = [case.mark for name in names() for case in cases(name)]
    assert len(marks) == len({*marks})
    for name in names():
        assert len(cases(name)) >= 5
        assert any(not case.expect for case in cases(name))
        assert any(case.diff for case in cases(name))


@pytest.mark.parametrize("name", names())
def test_score_of_the_scripted_model(name: str, tmp_path: Path) -> None:
    score = Score()
    look = getattr(specialists, name.replace(".", "_"))
    for case in cases(name):
        files = Files.from_paths(*case.write(tmp_path))
        given: dict[str, Any] = {"diff": case.diff} if case.diff else {"files": files}
        score.add(case, call(FakeWaiting(answer), lambda given=given: look(**given)))
    assert (score.found, score.right, score.expected, score.met, score.dropped) == SCORES[name]
    assert score.precision >= 0.8
    assert score.recall >= 0.8


def test_a_finding_fits_what_was_expected_by_place_and_word() -> None:
    expected = {"file": "a", "line": 5, "words": ["zero", "empty"]}
    finding = {
        "file": "a",
        "line": 6,
        "title": "Divides by ZERO",
        "explanation": "",
        "suggestion": "",
    }
    assert fits(finding, expected)
    assert not fits({**finding, "line": 8}, expected)
    assert not fits({**finding, "file": "b"}, expected)
    assert not fits({**finding, "title": "bad"}, expected)
