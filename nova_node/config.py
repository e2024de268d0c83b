"""What a node is told: frozen, parsed once, each part handed its slice.

A value comes from the first of: flag, NOVA_* variable, config.toml, default. Each remembers which.
An unknown key is refused with the nearest known one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, cast

import platformdirs

from nova_node.address import JOIN_PORT_DEFAULT, Address
from nova_node.core.errors import Invalid, Refused
from nova_node.core.model import Limits
from nova_node.core.policy import CapabilityRule, Uses, with_uses
from nova_node.settings import SETTINGS, SETTINGS_BY_KEY, Setting

CONFIG_FILE_MAX_BYTES = 1 << 20

INSECURE_BIND_VARIABLE = "NOVA_TEST_ALLOW_INSECURE_BIND"
INSECURE_BIND_VALUE = "yes-only-in-tests"

_TOLD = re.compile(r"name|data_dir|(sandbox|models)\..*")

SECRET_VARIABLES = "NOVA_SECRET_"
"""How variables begin that hold secrets for tasks."""

#: variables of other parts of Nova, which are no settings of a node
_OTHER_VARIABLES = frozenset(
    {"NOVA_CONFIG", "NOVA_NODE", "NOVA_RUNTIME_DIR", "NOVA_IDENTITY_DIR", INSECURE_BIND_VARIABLE}
)


@dataclass(frozen=True, slots=True)
class DiscoveryConfig:
    """How peers are found."""

    peers: tuple[Address, ...]
    mdns: bool
    #: names of network interfaces for mDNS; none = those of the default route
    interfaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IdentityConfig:
    """Of a node that has an identity; the folders need not both be there."""

    folder: Path
    #: of the node that made the mesh
    authority: Path
    #: where it lets others join
    join_listen: Address
    node_certificate_s: float


@dataclass(frozen=True, slots=True)
class WorkConfig:
    """What this node offers."""

    slots: int
    #: for attempts that wait
    places: int
    labels: tuple[tuple[str, str], ...]
    #: modules with capabilities, beside the installed ones
    capabilities: tuple[str, ...]
    #: patterns of the env:, file: and keyring: references that tasks may use here
    secret_sources: tuple[str, ...]
    #: of an attempt that names none
    limits: Limits
    #: what members of each role may have it run
    policy: tuple[CapabilityRule, ...]
    #: what capabilities that wait may ask for
    uses: Uses
    #: settings that capabilities may ask for
    told: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """Bounds; what is over them is refused as overloaded."""

    #: unfinished tasks that this node owns
    tasks_max: int
    #: signals that wait for the engine
    mailbox_max: int
    #: events that wait for one watcher
    watch_max: int


@dataclass(frozen=True, slots=True)
class StorageConfig:
    data_dir: Path
    blob_cap_bytes: int
    #: finished tasks are forgotten after so long
    journal_retention_s: float
    #: of recorded history; 0: nothing is recorded
    metrics_cap_bytes: int
    metrics_retention_s: float


@dataclass(frozen=True, slots=True)
class NodeConfig:
    name: str
    mesh: str
    listen: Address
    #: where others reach it; None: where it listens, or its way to the network
    advertise: Address | None
    #: None: it serves its own user on this machine only
    identity: IdentityConfig | None
    discovery: DiscoveryConfig
    work: WorkConfig
    queues: QueueConfig
    storage: StorageConfig
    #: where Prometheus may read; None: nowhere
    metrics: Address | None
    #: where clients of OpenAI's protocol find the mesh's models; None: nowhere
    openai: Address | None
    #: that this node reaches, as texts for models.spec
    models: tuple[str, ...] = ()


class Given(NamedTuple):
    """A value as it was parsed, and where it came from."""

    key: str
    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Loaded:
    config: NodeConfig
    given: tuple[Given, ...]
    #: what the reader should know and what does not stop the node
    warnings: tuple[str, ...]


def load(
    flags: Mapping[str, object], environ: Mapping[str, str], config_path: Path | None = None
) -> Loaded:
    """`flags` maps keys to given values; `config_path` is a file that must exist.

    Raises Invalid (a value or key), Refused (a bind that this version does not allow)."""
    unknown = next((key for key in flags if key not in SETTINGS_BY_KEY), None)
    if unknown is not None:
        raise _unknown_key(unknown, SETTINGS_BY_KEY, "flag")
    strangers = _strangers(environ)
    path, in_file = _read_file(environ, config_path)
    given = tuple(_given(setting, flags, environ, in_file, path) for setting in SETTINGS)
    given = _with_identity(given)
    config = _compose({g.key: g.value for g in given})
    warnings = [f"{name} is not a setting of nova-node, ignored" for name in strangers]
    if config.identity is None and not config.listen.is_loopback:
        _require_test_permission(config.listen, environ)
        warnings.append(f"INSECURE: {config.listen} accepts anybody, without identity; tests only")
    if config.metrics is not None and not config.metrics.is_loopback:
        raise Refused(
            f"will not show metrics on {config.metrics}: whoever reaches that page may read it",
            "name a loopback address, as --metrics 127.0.0.1:9464, and read it from this machine",
        )
    if config.openai is not None and not config.openai.is_loopback:
        raise Refused(
            f"will not offer models on {config.openai}: whoever reaches it spends your money",
            "name a loopback address, as --openai 127.0.0.1:7640, or run nova openai with TLS and a key",
        )
    return Loaded(config, given, tuple(warnings))


def config_file_default() -> Path:
    return Path(platformdirs.user_config_dir("nova", appauthor=False)) / "config.toml"


def _given(
    setting: Setting,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    in_file: Mapping[str, object],
    path: Path,
) -> Given:
    key = setting.key
    if key in flags:
        raw, origin = flags[key], "flag"
    elif setting.variable in environ:
        raw, origin = environ[setting.variable], f"environment {setting.variable}"
    elif key in in_file:
        raw, origin = in_file[key], f"file {path}"
    else:
        return Given(key, setting.default(), "default")
    try:
        return Given(key, setting.read(raw), origin)
    except ValueError as error:
        shown = repr(raw)[:100]
        raise Invalid(f"{key} = {shown} ({origin}): {error}", f"{key}: {setting.doc}") from None
    except Invalid as error:
        raise Invalid(f"{key} ({origin}): {error.message}", error.fix) from None


def _read_file(environ: Mapping[str, str], named: Path | None) -> tuple[Path, Mapping[str, object]]:
    """The path of the config file, and its values by flat key; none if it need not exist."""
    if named is None and environ.get("NOVA_CONFIG"):
        named = Path(environ["NOVA_CONFIG"])
    path = named or config_file_default()
    try:
        if path.stat().st_size > CONFIG_FILE_MAX_BYTES:
            raise Invalid(f"{path} is over {CONFIG_FILE_MAX_BYTES} bytes", "name a config file")
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if named is None:
            return path, {}
        raise Invalid(f"no config file {path}", "check --config or NOVA_CONFIG") from None
    except OSError as error:
        raise Invalid(f"cannot read {path}: {error.strerror}", "check its permissions") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"{path} is not TOML: {error}", "see docs/configuration.md") from None
    return path, _flatten(document, path)


def _flatten(document: Mapping[str, Any], path: Path) -> dict[str, object]:
    tables = {key.partition(".")[0] for key in SETTINGS_BY_KEY if "." in key}
    flat: dict[str, object] = {}
    for name, value in document.items():
        if name in tables and isinstance(value, dict):
            inner = cast("dict[str, object]", value)
            flat.update({f"{name}.{key}": item for key, item in inner.items()})
        else:
            flat[name] = value
    for key in flat:
        if key not in SETTINGS_BY_KEY:
            raise _unknown_key(key, SETTINGS_BY_KEY, str(path))
    return flat


def _strangers(environ: Mapping[str, str]) -> list[str]:
    """NOVA_* variables that mean nothing here. A near miss is a mistake and refused; the rest may
    be somebody else's (Kubernetes sets NOVA_SERVICE_HOST for a service named nova)."""
    known = [setting.variable for setting in SETTINGS]
    strangers = [
        name
        for name in environ
        if name.startswith("NOVA_") and name not in known and name not in _OTHER_VARIABLES
    ]
    for name in strangers:
        suffixes = [variable.removeprefix("NOVA_") for variable in known]
        if get_close_matches(name.removeprefix("NOVA_"), suffixes, n=1, cutoff=0.8):
            raise _unknown_key(name, known, "environment")
    return sorted(name for name in strangers if not name.startswith(SECRET_VARIABLES))


def _unknown_key(key: str, known: Mapping[str, Any] | Sequence[str], where: str) -> Invalid:
    shown = key if len(key) <= 80 else key[:80] + "..."
    near = get_close_matches(key, list(known), n=1, cutoff=0.5)
    fix = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    return Invalid(f"unknown key {shown!r} ({where})", fix)


def _with_identity(given: tuple[Given, ...]) -> tuple[Given, ...]:
    """A node with an identity is of the mesh of its certificate, and listens to that by default.

    Raises Refused when it is told to be of another."""
    by_key = {g.key: g for g in given}
    folder = identity_folder(by_key["data_dir"].value)
    if folder is None:
        return given
    # loads much, and only such a node needs it
    from nova_proto.identity.errors import IdentityError
    from nova_proto.identity.folder import load as load_identity

    try:
        mesh = load_identity(folder).name.mesh
    except IdentityError as error:
        raise Refused(error.message, error.fix, error.code) from None
    told = by_key["mesh"]
    if told.origin != "default" and told.value != mesh:
        raise Refused(
            f"this node belongs to mesh {mesh}, and is told to be of {told.value} ({told.origin})",
            f"leave the setting out, or use another --data-dir for mesh {told.value}",
        )
    by_key["mesh"] = Given("mesh", mesh, f"identity in {folder}")
    if by_key["listen"].origin == "default":
        by_key["listen"] = Given("listen", Address("0.0.0.0"), "default with an identity")
    return tuple(by_key[g.key] for g in given)


def identity_folder(data_dir: Path) -> Path | None:
    """Where a node keeps its identity, if it has one."""
    folder = data_dir / "identity"
    return folder if (folder / "chain.pem").exists() else None


def _require_test_permission(listen: Address, environ: Mapping[str, str]) -> None:
    if environ.get(INSECURE_BIND_VARIABLE) != INSECURE_BIND_VALUE:
        raise Refused(
            f"will not listen on {listen}: beyond this machine a node needs an identity",
            "make a mesh with `nova-node init`, or enter one with `nova-node join`;"
            " without, listen on 127.0.0.1 (the default)",
        )


def _compose(values: Mapping[str, Any]) -> NodeConfig:
    return NodeConfig(
        name=values["name"],
        mesh=values["mesh"],
        listen=values["listen"],
        advertise=values["advertise"],
        identity=_identity(values),
        discovery=DiscoveryConfig(values["peers"], values["mdns"], values["interfaces"]),
        work=WorkConfig(
            values["slots"],
            values["places"],
            values["labels"],
            values["capabilities"],
            values["secret_sources"],
            Limits(
                values["limits.wall_s"],
                values["limits.cpu_s"],
                values["limits.memory_bytes"],
                values["limits.output_bytes"],
            ),
            values["policy"],
            with_uses(values["uses"]),
            {key: _plain(value) for key, value in values.items() if _TOLD.fullmatch(key)},
        ),
        queues=QueueConfig(
            values["queues.tasks_max"], values["queues.mailbox_max"], values["queues.watch_max"]
        ),
        storage=StorageConfig(
            values["data_dir"],
            values["storage.blob_cap_bytes"],
            values["storage.journal_retention_s"],
            values["storage.metrics_cap_bytes"],
            values["storage.metrics_retention_s"],
        ),
        metrics=values["metrics"],
        openai=values["openai"],
        models=values["models.use"],
    )


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _identity(values: Mapping[str, Any]) -> IdentityConfig | None:
    folder = identity_folder(values["data_dir"])
    if folder is None:
        return None
    host, port = values["listen"]
    join_listen = values["join_listen"] or Address(host, JOIN_PORT_DEFAULT if port else 0)
    authority = values["data_dir"] / "authority"
    return IdentityConfig(folder, authority, join_listen, values["node_certificate_s"])
