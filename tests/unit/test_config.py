"""Where a value comes from, and what is refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from nova_proto.identity import certificates, folder
from nova_proto.identity.folder import Credentials
from nova_proto.identity.names import Name
from nova_proto.identity.trust import sign_trust
from nova_proto.v1 import identity_pb2
from support import forge

from nova_node.address import Address, parse_address
from nova_node.config import (
    INSECURE_BIND_VALUE,
    INSECURE_BIND_VARIABLE,
    Loaded,
    load,
)
from nova_node.core.errors import Invalid, NovaError, Refused
from nova_node.settings import SETTINGS


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


@pytest.fixture(autouse=True)
def no_platform_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing-here"))


def origin_of(loaded: Loaded, key: str) -> str:
    return next(given.origin for given in loaded.given if given.key == key)


def test_defaults_serve_on_loopback_and_never_claim_no_slot() -> None:
    config = load({}, {}).config
    assert str(config.listen) == "127.0.0.1:7600"
    assert config.mesh == "nova"
    assert config.discovery.mdns
    assert config.work.slots >= 1
    assert config.name
    assert min(config.work.limits) > 0


def test_every_setting_has_an_origin() -> None:
    loaded = load({}, {})
    assert [given.key for given in loaded.given] == [setting.key for setting in SETTINGS]
    assert {given.origin for given in loaded.given} == {"default"}


def test_flag_over_environment_over_file_over_default(config_file: Path) -> None:
    config_file.write_text('mesh = "of-file"\nname = "of-file"\nslots = 3\n')
    environ = {"NOVA_MESH": "of-environment", "NOVA_NAME": "of-environment"}
    loaded = load({"mesh": "of-flag"}, environ, config_file)
    assert loaded.config.mesh == "of-flag"
    assert loaded.config.name == "of-environment"
    assert loaded.config.work.slots == 3
    assert origin_of(loaded, "mesh") == "flag"
    assert origin_of(loaded, "name") == "environment NOVA_NAME"
    assert origin_of(loaded, "slots") == f"file {config_file}"
    assert origin_of(loaded, "mdns") == "default"


def test_file_and_environment_say_the_same(config_file: Path) -> None:
    config_file.write_text(
        """
        listen = "[::1]:7700"
        mdns = false
        peers = ["127.0.0.1:7601", "node-b.local:7602"]
        capabilities = ["shop.tasks"]
        [labels]
        zone = "b"
        gpu = "yes"
        [limits]
        wall_s = 12.5
        memory_bytes = "512MiB"
        [storage]
        blob_cap_bytes = 1024
        """
    )
    environ = {
        "NOVA_LISTEN": "[::1]:7700",
        "NOVA_MDNS": "off",
        "NOVA_PEERS": "127.0.0.1:7601, node-b.local:7602",
        "NOVA_CAPABILITIES": "shop.tasks",
        "NOVA_LABELS": "zone=b,gpu=yes",
        "NOVA_LIMITS_WALL_S": "12.5",
        "NOVA_LIMITS_MEMORY_BYTES": "536870912",
        "NOVA_STORAGE_BLOB_CAP_BYTES": "1KiB",
    }
    of_file = load({}, {}, config_file).config
    assert of_file == load({}, environ).config
    assert of_file.work.labels == (("gpu", "yes"), ("zone", "b"))
    assert of_file.discovery.peers == (Address("127.0.0.1", 7601), Address("node-b.local", 7602))


def test_the_platforms_config_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "nova").mkdir()
    (tmp_path / "nova" / "config.toml").write_text('mesh = "found"')
    assert load({}, {}).config.mesh == "found"


def test_nova_config_names_a_file_and_the_flag_another(config_file: Path, tmp_path: Path) -> None:
    config_file.write_text('mesh = "a"')
    other = tmp_path / "other.toml"
    other.write_text('mesh = "b"')
    environ = {"NOVA_CONFIG": str(config_file)}
    assert load({}, environ).config.mesh == "a"
    assert load({}, environ, other).config.mesh == "b"


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ('lables = "a=b"', "labels"),
        ("[limits]\nwal_s = 3", "limits.wall_s"),
        ("[storage]\nblob_cap = 3", "storage.blob_cap_bytes"),
    ],
)
def test_unknown_key_of_the_file_is_refused_with_the_nearest(
    config_file: Path, text: str, near: str
) -> None:
    config_file.write_text(text)
    with pytest.raises(Invalid, match="unknown key") as caught:
        load({}, {}, config_file)
    assert near in caught.value.fix


def test_unknown_flag_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        load({"limits.wal_s": "1"}, {})
    assert "limits.wall_s" in caught.value.fix


def test_misspelt_variable_is_refused_and_a_strangers_is_only_named() -> None:
    with pytest.raises(Invalid) as caught:
        load({}, {"NOVA_LABLES": "a=b"})
    assert "NOVA_LABELS" in caught.value.fix
    loaded = load({}, {"NOVA_SERVICE_HOST": "10.0.0.1", "NOVA_NODE": "127.0.0.1:7600"})
    assert len(loaded.warnings) == 1
    assert "NOVA_SERVICE_HOST" in loaded.warnings[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("listen", "127.0.0.1:99999"),
        ("listen", 7600),
        ("name", ""),
        ("name", "a\x1b[31mb"),
        ("name", "x" * 64),
        ("mesh", "../up"),
        ("data_dir", ""),
        ("data_dir", "a\0b"),
        ("peers", ["127.0.0.1:1", 3]),
        ("peers", [f"127.0.0.1:{port}" for port in range(1, 400)]),
        ("mdns", "perhaps"),
        ("mdns", 1),
        ("interfaces", ["eth0\n"]),
        ("slots", -1),
        ("slots", True),
        ("slots", "1e3"),
        ("slots", 1025),
        ("labels", ["no-equals"]),
        ("labels", {"bad key": "x"}),
        ("labels", {"k": "new\nline"}),
        ("capabilities", ["os; import sys"]),
        ("limits.wall_s", float("nan")),
        ("limits.wall_s", float("inf")),
        ("limits.wall_s", 0),
        ("limits.wall_s", False),
        ("limits.memory_bytes", "lots"),
        ("limits.memory_bytes", "1GB"),
        ("limits.memory_bytes", -1),
        ("queues.tasks_max", 0),
        ("storage.journal_retention_s", "-1"),
    ],
)
def test_wrong_value_is_one_typed_error_that_names_its_key(key: str, value: object) -> None:
    with pytest.raises(Invalid) as caught:
        load({key: value}, {})
    assert key in caught.value.message
    assert caught.value.fix


@pytest.mark.parametrize("data", [b"mesh = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_refused(config_file: Path, data: bytes) -> None:
    config_file.write_bytes(data)
    with pytest.raises(Invalid, match="not TOML"):
        load({}, {}, config_file)


def test_a_named_file_must_exist_and_be_small(config_file: Path) -> None:
    with pytest.raises(Invalid, match="no config file"):
        load({}, {}, config_file)
    config_file.write_text("#" * ((1 << 20) + 1))
    with pytest.raises(Invalid, match="over"):
        load({}, {}, config_file)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.7", "node-b.local", "[2001:db8::1]"])
def test_a_bind_beyond_this_machine_is_refused(host: str) -> None:
    with pytest.raises(Refused, match="needs an identity") as caught:
        load({"listen": f"{host}:7600"}, {})
    assert "127.0.0.1" in caught.value.fix
    assert "nova-node init" in caught.value.fix


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost"])
def test_a_bind_on_this_machine_is_not(host: str) -> None:
    assert load({"listen": f"{host}:7600"}, {}).warnings == ()


def test_tests_may_bind_elsewhere_and_it_is_said_loudly() -> None:
    permission = {INSECURE_BIND_VARIABLE: INSECURE_BIND_VALUE}
    loaded = load({"listen": "192.0.2.7:7600"}, permission)
    assert any("INSECURE" in warning for warning in loaded.warnings)
    with pytest.raises(Refused):
        load({"listen": "192.0.2.7:7600"}, {INSECURE_BIND_VARIABLE: "1"})


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7600", Address("127.0.0.1", 7600)),
        ("127.0.0.1", Address("127.0.0.1", 7600)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("[::1]:7601", Address("::1", 7601)),
        ("[::1]", Address("::1", 7600)),
        ("node-b.example.org:80", Address("node-b.example.org", 80)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":7600",
        "::1",
        "::1:7600",
        "[::1",
        "[::1]7600",
        "[127.0.0.1]:1",
        "[x]:1",
        "a:",
        "a:b",
        "a:-1",
        "a:65536",
        "a:1:2",
        "10.0.0.256:1",
        "http://a:1",
        "a b:1",
        "a\n:1",
        "a:1\n",
        "a:\u0661",
        "-a:1",
        "x" * 5000,
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(NovaError) as caught:
        parse_address(text)
    assert "HOST:PORT" in caught.value.fix
    assert len(caught.value.message) < 200


def test_the_manual_names_every_setting_and_no_other() -> None:
    manual = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
    rows = [line.split("|")[1:3] for line in manual.splitlines() if line.startswith("| `")]
    assert [(key.strip(), variable.strip()) for key, variable in rows] == [
        (f"`{setting.key}`", f"`{setting.variable}`") for setting in SETTINGS
    ]


@pytest.fixture
def member(tmp_path: Path) -> Path:
    """The data directory of a node with an identity of mesh "lab"."""
    key, mesh = certificates.new_key(), forge.Mesh("lab", now=time.time())
    name = Name("lab", "worker", "node-a")
    trust = identity_pb2.Trust(
        mesh="lab", version=1, roots=[mesh.root], authority="node-a", issued_at=mesh.now
    )
    signed = sign_trust(trust, mesh.root_key, mesh.root).SerializeToString()
    own = Credentials(name, certificates.key_to_pem(key), mesh.chain(name, key), signed)
    folder.save(tmp_path / "identity", own)
    return tmp_path


def test_a_node_with_an_identity_serves_everywhere_in_its_mesh(member: Path) -> None:
    loaded = load({"data_dir": str(member)}, {})
    config = loaded.config
    assert (config.mesh, config.listen, loaded.warnings) == ("lab", Address("0.0.0.0"), ())
    assert config.identity is not None
    assert config.identity.folder == member / "identity"
    assert config.identity.join_listen == Address("0.0.0.0", 7601)
    origins = {given.key: given.origin for given in loaded.given}
    assert origins["listen"] == "default with an identity"
    assert origins["mesh"] == f"identity in {member / 'identity'}"


def test_what_is_set_counts_for_a_node_with_an_identity_too(member: Path) -> None:
    flags = {"data_dir": str(member), "listen": "192.0.2.7:0", "mesh": "lab"}
    config = load({**flags, "advertise": "node-a.example:7700"}, {}).config
    assert config.listen == Address("192.0.2.7", 0)
    assert config.advertise == Address("node-a.example", 7700)
    assert config.identity is not None
    assert config.identity.join_listen == Address("192.0.2.7", 0)
    asked = load({**flags, "join_listen": "127.0.0.1:7777"}, {}).config.identity
    assert asked is not None
    assert asked.join_listen == Address("127.0.0.1", 7777)


def test_a_node_is_of_the_mesh_of_its_certificate(member: Path) -> None:
    with pytest.raises(Refused, match="belongs to mesh lab") as caught:
        load({"data_dir": str(member), "mesh": "other"}, {})
    assert "--data-dir" in caught.value.fix


def test_an_identity_that_cannot_be_read_is_no_identity_less(member: Path) -> None:
    (member / "identity/key.pem").chmod(0o644)
    with pytest.raises(Refused) as caught:
        load({"data_dir": str(member)}, {})
    assert caught.value.code == "identity_malformed"
