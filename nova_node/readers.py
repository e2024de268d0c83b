"""How settings are read: each reader takes what TOML gives or the text of a flag or variable.

Rule: ValueError says what is wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import cast

from nova_node.address import Address, parse_address
from nova_node.core.policy import CapabilityRule, parse_rule, with_uses
from nova_node.models.spec import parse_spec

LIST_MAX = 256
GIB = 1 << 30
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_SECRET_SOURCE = re.compile(r"((env|keyring):|file:/)[^\0\n]{1,255}")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9._/:@+-]{0,63}")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_UNITS = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": GIB, "TIB": 1 << 40}


def integer(low: int, high: int) -> Callable[[object], int]:
    def read(raw: object) -> int:
        if isinstance(raw, str) and re.fullmatch(r"[0-9]{1,18}", raw):
            raw = int(raw)
        if not isinstance(raw, int) or isinstance(raw, bool) or not low <= raw <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return raw

    return read


def seconds(low: float, high: float) -> Callable[[object], float]:
    def read(raw: object) -> float:
        try:
            number = float(raw) if isinstance(raw, str | int | float) else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if isinstance(raw, bool) or not low <= number <= high:
            raise ValueError(f"must be seconds from {low:g} to {high:g}")
        return number

    return read


def ratio(raw: object) -> float:
    try:
        return seconds(0, 1)(raw)
    except ValueError:
        raise ValueError("must be a number from 0 to 1") from None


def size(low: int, high: int) -> Callable[[object], int]:
    def read(raw: object) -> int:
        if isinstance(raw, str) and (
            match := re.fullmatch(r"([0-9]{1,18}) ?([KMGT]iB)?", raw, re.IGNORECASE)
        ):
            raw = int(match[1]) * _UNITS[(match[2] or "").upper()]
        if not isinstance(raw, int) or isinstance(raw, bool) or not low <= raw <= high:
            raise ValueError(f"must be bytes from {low} to {high}, or text such as '2GiB'")
        return raw

    return read


def boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    match raw.lower() if isinstance(raw, str) else raw:
        case "true" | "yes" | "on" | "1":
            return True
        case "false" | "no" | "off" | "0":
            return False
        case _:
            raise ValueError("must be true or false")


def name(raw: object) -> str:
    if not isinstance(raw, str) or not _NAME.fullmatch(raw):
        raise ValueError("must be 1 to 63 letters, digits, '.', '_' or '-', the first no sign")
    return raw


def address(raw: object) -> Address:
    if not isinstance(raw, str):
        raise ValueError("must be text, HOST:PORT")
    return parse_address(raw)


def address_or_none(raw: object) -> Address | None:
    return address(raw) if raw else None


def path(raw: object) -> Path:
    if not isinstance(raw, str | Path) or not str(raw) or "\0" in str(raw):
        raise ValueError("must be a path")
    return Path(raw).expanduser().absolute()


def texts(raw: object) -> list[str]:
    """A list of texts, or one text with commas."""
    items: list[object] = (
        [item.strip() for item in raw.split(",") if item.strip()]
        if isinstance(raw, str)
        else list(cast("list[object]", raw))
        if isinstance(raw, list | tuple)
        else [None]
    )
    texts = [item for item in items if isinstance(item, str)]
    if len(texts) != len(items) or len(texts) > LIST_MAX:
        raise ValueError(f"must be a list of at most {LIST_MAX} texts")
    return list(dict.fromkeys(texts))


def addresses(raw: object) -> tuple[Address, ...]:
    return tuple(parse_address(text) for text in texts(raw))


def interfaces(raw: object) -> tuple[str, ...]:
    names = texts(raw)
    if any(not name or len(name) > 63 or not name.isprintable() for name in names):
        raise ValueError("must be names of network interfaces, such as eth0")
    return tuple(names)


def modules(raw: object) -> tuple[str, ...]:
    names = texts(raw)
    if wrong := [name for name in names if not _MODULE.fullmatch(name)]:
        raise ValueError(f"must be names of Python modules, which {wrong[0][:80]!r} is not")
    return tuple(names)


def secret_sources(raw: object) -> tuple[str, ...]:
    patterns = texts(raw)
    if wrong := [each for each in patterns if not _SECRET_SOURCE.fullmatch(each)]:
        raise ValueError(
            f"{wrong[0][:80]!r} is no pattern such as env:NOVA_SECRET_*, keyring:* or"
            " file:/etc/nova/secrets/*"
        )
    return tuple(patterns)


def images(raw: object) -> tuple[str, ...]:
    names = texts(raw)
    if not names or any(not _IMAGE.fullmatch(name) for name in names):
        raise ValueError(
            "must be names of images, up to 40 small letters, digits, '.', '_' and '-'"
        )
    return tuple(names)


def choice(*words: str) -> Callable[[object], str]:
    def read(raw: object) -> str:
        if raw not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(raw)

    return read


def engine(raw: object) -> str:
    if not isinstance(raw, str) or (raw and not raw.startswith("unix:///")):
        raise ValueError("must be unix:///PATH, or empty for $DOCKER_HOST or the usual socket")
    return raw


def rules(raw: object) -> tuple[CapabilityRule, ...]:
    return tuple(parse_rule(text) for text in texts(raw))


def uses(raw: object) -> tuple[str, ...]:
    named = texts(raw)
    with_uses(named)
    return tuple(named)


def labels(raw: object) -> tuple[tuple[str, str], ...]:
    """A table of texts, or texts `key=value`."""
    if isinstance(raw, dict):
        pairs = [(str(k), str(v)) for k, v in cast("dict[object, object]", raw).items()]
    else:
        pairs = [(k, v) for k, equals, v in (t.partition("=") for t in texts(raw)) if equals]
        if len(pairs) != len(texts(raw)):
            raise ValueError("must be key=value")
    if len(pairs) > LIST_MAX:
        raise ValueError(f"must be at most {LIST_MAX} labels")
    for key, value in pairs:
        if not _NAME.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise ValueError(f"{key[:63]!r} = {value[:63]!r} has signs that a label cannot have")
    return tuple(sorted(dict(pairs).items()))


def model_or_none(raw: object) -> str:
    """A name, as models.use gives it; "" for none."""
    if raw == "":
        return ""
    if not isinstance(raw, str) or "," in raw:
        raise ValueError("must be the name of a model, or empty")
    return parse_spec(raw).name


def models(raw: object) -> tuple[str, ...]:
    """Texts with commas inside: in one text they are parted by space."""
    names = texts(raw.split() if isinstance(raw, str) else raw)
    for each in names:
        try:
            parse_spec(each)
        except ValueError as error:
            raise ValueError(f"{each[:80]!r}: {error}") from None
    return tuple(names)
