"""From references to values: what a node lets tasks name."""

import os
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from nova_node.core.errors import NovaError
from nova_node.core.model import Attempt, Call, Demand, Mandate, Phase
from nova_node.secrets import sources as sources_module
from nova_node.secrets.references import Resolver
from nova_node.secrets.sources import Sources
from nova_node.secrets.store import Secret, Store

CANARY = "correct-horse"


class Bench:
    """A store, a folder with a file in it, and an environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.realpath(folder))
        self.store = Store(self.folder / "secrets")
        (self.folder / "open").mkdir()
        (self.folder / "open" / "db").write_text(CANARY + "\n")
        (self.folder / "closed").write_text("not for tasks\n")
        self.environ = {"NOVA_SECRET_DB": CANARY, "HOME": "home-of-somebody"}

    def resolver(self, *patterns: str) -> Resolver:
        return Resolver(self.store, Sources(patterns, self.environ))

    def ask(self, reference: str, *patterns: str) -> str:
        return self.resolver(*patterns).reveal(attempt(reference))["db"]

    def refusal(self, reference: str, *patterns: str) -> NovaError:
        with pytest.raises(NovaError) as caught:
            self.ask(reference, *patterns)
        assert CANARY not in caught.value.message + caught.value.fix
        return caught.value


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def attempt(reference: str, capability: str = "db.query", submitter: str = "") -> Attempt:
    mandate = Mandate(submitter, b"signed") if submitter else None
    demand = Demand(capability, secrets=(("db", reference),))
    return Attempt(1, 1, demand, Phase.RUN, Call(), mandate=mandate)


def test_of_the_store(bench: Bench) -> None:
    bench.store.set(Secret("main", CANARY))
    assert bench.ask("secret:main") == CANARY
    bench.store.rotate("main", "a-new-value", 1.0)
    assert bench.ask("secret:main") == "a-new-value"


def test_what_is_not_here_may_be_elsewhere(bench: Bench) -> None:
    for reference in ("secret:x", "env:NOVA_SECRET_X", f"file:{bench.folder}/open/x"):
        missing = bench.refusal(reference, "env:NOVA_SECRET_*", f"file:{bench.folder}/open/*")
        assert (missing.code, missing.retryable) == ("secret_missing", True)
        assert reference in missing.message
    assert "nova-node secret set x" in bench.refusal("secret:x").fix


def test_a_node_lets_nothing_but_its_store_be_named_unless_told(bench: Bench) -> None:
    for reference in ("env:HOME", f"file:{bench.folder}/open/db", "keyring:db"):
        refused = bench.refusal(reference)
        assert (refused.code, refused.retryable) == ("secret_refused", False)
        assert "secret_sources" in refused.fix


def test_variables_by_pattern(bench: Bench) -> None:
    assert bench.ask("env:NOVA_SECRET_DB", "env:NOVA_SECRET_*") == CANARY
    assert bench.refusal("env:HOME", "env:NOVA_SECRET_*").code == "secret_refused"


def test_variables_that_may_be_named_leave_the_environment(bench: Bench) -> None:
    resolver = bench.resolver("env:NOVA_SECRET_*")
    assert bench.environ == {"HOME": "home-of-somebody"}
    assert resolver.reveal(attempt("env:NOVA_SECRET_DB"))["db"] == CANARY


def test_files_by_pattern(bench: Bench) -> None:
    pattern = f"file:{bench.folder}/open/*"
    assert bench.ask(f"file:{bench.folder}/open/db", pattern) == CANARY
    assert bench.ask(f"file:{bench.folder}/closed/../open/db", pattern) == CANARY


@pytest.mark.parametrize(
    "name",
    ["closed", "open/../closed", "open/link", "open/linked/closed", "open/deep/db", "open"],
)
def test_files_are_judged_by_where_they_are(bench: Bench, name: str) -> None:
    inside = bench.folder / "open"
    (inside / "link").symlink_to(bench.folder / "closed")
    (inside / "linked").symlink_to(bench.folder)
    (inside / "deep").mkdir()
    (inside / "deep" / "db").write_text(CANARY)
    refused = bench.refusal(f"file:{bench.folder}/{name}", f"file:{inside}/*")
    assert refused.code == "secret_refused"


def test_a_path_is_absolute(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bench.folder)
    assert bench.refusal("file:open/db", f"file:{bench.folder}/open/*").code == "secret_refused"


def test_the_folder_of_a_pattern_may_be_a_link(bench: Bench) -> None:
    (bench.folder / "by").symlink_to(bench.folder / "open")
    assert bench.ask(f"file:{bench.folder}/by/db", f"file:{bench.folder}/by/*") == CANARY


@pytest.mark.parametrize("kind", ["pipe", "folder", "binary", "short", "large"])
def test_what_is_no_secret_is_refused_and_not_waited_for(bench: Bench, kind: str) -> None:
    path = bench.folder / "open" / "odd"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "binary":
            path.write_bytes(b"\xff\xfe\x00\x01\x02")
        case "short":
            path.write_text("abc\n")
        case _:
            path.write_text("x" * 20_000)
    pattern = f"file:{bench.folder}/open/*"
    assert bench.refusal(f"file:{path}", pattern).code == "secret_refused"


def test_only_for_the_capabilities_it_was_set_for(bench: Bench) -> None:
    bench.store.set(Secret("main", CANARY, ("db.*", "web.get")))
    resolver = bench.resolver()
    for capability in ("db.query", "web.get"):
        assert resolver.reveal(attempt("secret:main", capability))["db"] == CANARY
    with pytest.raises(NovaError, match=r"not for the capability web\.put") as caught:
        resolver.reveal(attempt("secret:main", "web.put"))
    assert caught.value.code == "secret_refused"


def test_only_for_the_roles_it_was_set_for(bench: Bench) -> None:
    bench.store.set(Secret("main", CANARY, (), ("admin",)))
    resolver = bench.resolver()
    assert resolver.reveal(attempt("secret:main", submitter="admin/ann"))["db"] == CANARY
    for submitter in ("submitter/bob", ""):
        with pytest.raises(NovaError) as caught:
            resolver.reveal(attempt("secret:main", submitter=submitter))
        assert caught.value.code == "secret_refused"


def test_a_store_that_cannot_be_read_sends_the_task_elsewhere(bench: Bench) -> None:
    bench.store.set(Secret("main", CANARY))
    (bench.folder / "secrets" / "store").chmod(0o644)
    revealed, failed = bench.resolver().reveal_all([attempt("secret:main")])
    assert not revealed
    assert (failed[0].code, failed[0].retryable) == ("secret_missing", True)
    assert "chmod 600" in failed[0].fix


def test_many_at_once_fail_one_by_one(bench: Bench) -> None:
    bench.store.set(Secret("main", CANARY, ("db.*",)))
    plain = Attempt(1, 1, Demand("core.echo"), Phase.RUN, Call())
    attempts = [attempt("secret:main"), plain, attempt("secret:x"), attempt("secret:main", "a.b")]
    revealed, failed = bench.resolver().reveal_all(attempts)
    assert revealed == {0: {"db": CANARY}}
    assert {place: failure.code for place, failure in failed.items()} == {
        2: "secret_missing",
        3: "secret_refused",
    }


# ---------------------------------------------------------------- keyring


class Keyring(ModuleType):
    def __init__(self) -> None:
        super().__init__("keyring")
        self.locked = threading.Event()
        self.locked.set()

    def get_password(self, service: str, name: str) -> str | None:
        self.locked.wait()
        if name == "broken":
            raise RuntimeError(f"no backend for {CANARY}")
        return {("nova", "db"): CANARY}.get((service, name))


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    made = Keyring()
    monkeypatch.setitem(sys.modules, "keyring", made)
    return made


@pytest.mark.usefixtures("keyring")
def test_of_the_keyring(bench: Bench) -> None:
    assert bench.ask("keyring:db", "keyring:*") == CANARY
    for name in ("other", "broken"):
        assert bench.refusal(f"keyring:{name}", "keyring:*").code == "secret_missing"


def test_a_keyring_that_waits_for_a_person_is_given_up(
    bench: Bench, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources_module, "KEYRING_TIMEOUT_S", 0.05)
    resolver = bench.resolver("keyring:*")
    keyring.locked.clear()
    for _ in range(2):
        with pytest.raises(NovaError, match="does not answer") as caught:
            resolver.reveal(attempt("keyring:db"))
        assert caught.value.code == "secret_missing"
    assert sum(thread.name == "nova-keyring" for thread in threading.enumerate()) == 1
    keyring.locked.set()


def test_without_the_library_the_extra_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    missing = bench.refusal("keyring:db", "keyring:*")
    assert (missing.code, missing.fix) == ("secret_missing", "install nova-mesh[keyring]")
