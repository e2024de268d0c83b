"""The README's pictures: made by one command, and telling nothing of the machine they were made on."""

from __future__ import annotations

import html
import os
import platform
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.repo import ROOT

TITLES = {
    "mesh": ("Topology", "Node", "Task flow", "5/5 up"),
    "flow": ("Flow of", "By node", "forecast"),
}


def shown(picture: str) -> str:
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    return html.unescape("\n".join(texts)).replace("\xa0", " ")


def check(name: str, picture: str) -> None:
    for title in TITLES[name]:
        assert title in shown(picture)
    assert "lab" in shown(picture)
    for told in (platform.release(), socket.gethostname(), os.getcwd(), "127.0.0.1", "/tmp"):
        assert told not in picture
    assert set(re.findall(r"https?://[^\"' )<]+", picture)) == {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", TITLES)
def test_the_readme_shows_it(name: str) -> None:
    path = f"docs/pictures/{name}.svg"
    assert f"({path})" in (ROOT / "README.md").read_text()
    check(name, (ROOT / path).read_text())


def test_the_command_draws_them_anew(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "docs/pictures/make.py", tmp_path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["flow.svg", "mesh.svg"]
    for name in TITLES:
        check(name, (tmp_path / f"{name}.svg").read_text())
