"""`nova-node secret`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nova_node.cli import main
from nova_node.secrets.store import Secret, Store

CANARY = "correct-horse"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NOVA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("NOVA_CONFIG", "/dev/null")
    return tmp_path / "data" / "secrets"


def secret(*args: str, value: str | None = None) -> Result:
    result = CliRunner().invoke(main, ["secret", *args], input=value)
    assert CANARY not in result.output
    return result


def test_a_value_from_stdin_without_its_newline(folder: Path) -> None:
    assert secret("set", "db", value=CANARY + "\n").exit_code == 0
    kept = Store(folder).get("db")
    assert kept
    assert (kept.value, kept.capabilities, kept.roles) == (CANARY, (), ())
    assert kept.set_at > 0


def test_rules_and_rotation(folder: Path) -> None:
    rules = ("--capability", "db.*", "--capability", "web.get", "--role", "admin")
    assert secret("set", "db", *rules, value=CANARY).exit_code == 0
    assert secret("rotate", "db", value="new-value").exit_code == 0
    kept = Store(folder).get("db")
    assert kept == Secret(
        "db", "new-value", ("db.*", "web.get"), ("admin",), kept.set_at if kept else 0
    )


def test_list_shows_all_but_the_values(folder: Path) -> None:
    assert "no secrets" in secret("list").output
    Store(folder).set(Secret("db", CANARY, ("db.*",), (), 1e9))
    shown = secret("list").output
    assert "db    db.*          any    2001-09-0" in shown
    assert json.loads(secret("list", "--json").output) == {
        "schema": 1,
        "secrets": [{"name": "db", "capabilities": ["db.*"], "roles": [], "set_at": 1e9}],
    }


def test_rm(folder: Path) -> None:
    Store(folder).set(Secret("db", CANARY))
    assert secret("rm", "db").exit_code == 0
    gone = secret("rm", "db")
    assert gone.exit_code == 1
    assert "nova-node secret list" in gone.output


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("args", "value"),
    [
        (("set", "db"), "abc"),
        (("set", "db"), ""),
        (("set", "a/b"), CANARY),
        (("set", "db"), CANARY * 2000),
        (("set", "db", "--capability", "DB"), CANARY),
        (("set", "db", "--role", "worker"), CANARY),
        (("set", "db", CANARY), ""),
    ],
)
def test_mistakes_end_with_2(args: tuple[str, ...], value: str) -> None:
    assert CliRunner().invoke(main, ["secret", *args], input=value).exit_code == 2
