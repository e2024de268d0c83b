"""What the author of a capability imports. Standard library only, so that a worker starts fast.

    @capability("text.wordcount")
    def wordcount(files: Files, min_length: int = 1) -> dict[str, int]: ...

    @wordcount.split
    def _(files: Files, *, shards: int, min_length: int) -> Iterator[dict[str, object]]: ...

    @wordcount.merge
    def _(parts: Iterator[dict[str, int]]) -> dict[str, int]: ...

Rule: arguments are checked here, before the function runs.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar

from nova_node.answer import (
    NO_OFFER,
    BadArgument,
    Failed,
    Fatal,
    NotOffered,
    Offer,
    Produced,
    Shards,
    Usage,
)
from nova_node.files import CHUNK_BYTES, WHITESPACE, Files, Piece
from nova_node.given import given_secrets, given_settings, node_secret, own_secrets, secret, setting
from nova_node.metrics.pools import Pool, report_pools
from nova_node.waiting import (
    Answer,
    Ask,
    AskFailed,
    Waiting,
    allowance_uusd,
    ask,
    attempt_of,
    say,
    sensitive,
    spend,
    submitter,
    task_id,
)

__all__ = [
    "CHUNK_BYTES",
    "WHITESPACE",
    "Answer",
    "Ask",
    "AskFailed",
    "BadArgument",
    "Capability",
    "Failed",
    "Fatal",
    "Files",
    "Limits",
    "NotOffered",
    "Offer",
    "Param",
    "Piece",
    "Pool",
    "Produced",
    "Shards",
    "Usage",
    "Waiting",
    "allowance_uusd",
    "ask",
    "attempt_of",
    "capability",
    "given_secrets",
    "given_settings",
    "node_secret",
    "own_secrets",
    "report_pools",
    "say",
    "secret",
    "sensitive",
    "setting",
    "spend",
    "submitter",
    "task_id",
]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}\.[a-z][a-z0-9_-]{0,62}")
_VARIADIC = 0x04 | 0x08
_COROUTINE, _ASYNC_GENERATOR = 0x80, 0x200


class Limits(NamedTuple):
    """Per attempt, unless the task asks otherwise; zero means the node's default."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_bytes: int = 0
    output_bytes: int = 0


NODE_LIMITS = Limits()

Check = Callable[[], Offer]


class Param(NamedTuple):
    """A parameter; `accepts` are the exact types its value may have."""

    name: str
    type: str
    accepts: tuple[type, ...]
    required: bool
    default: object = None
    doc: str = ""


class Capability(Generic[P, R]):
    """A function that nodes can run. Calling it calls the function itself."""

    def __init__(
        self,
        function: Callable[P, R],
        name: str,
        version: str,
        limits: Limits,
        doc: str,
        check: Check,
        after_kill: Callable[[], None] | None,
        waits: bool = False,
    ) -> None:
        self.function: Callable[..., Any] = function
        self.name, self.version, self.limits, self.doc = name, version, limits, doc
        self.check, self.after_kill, self.waits = check, after_kill, waits
        _check_kind(name, function, waits)
        self.params = _params(name, function)
        self.splitter: Callable[..., Iterable[Mapping[str, object]]] | None = None
        self.merger: Callable[[Iterator[Any]], Any] | None = None
        self.packer: Callable[[Any], bytes] | None = None
        self.unpacker: Callable[[bytes], Any] | None = None
        self._by_name = {param.name: param for param in self.params}
        self._defaults = {p.name: p.default for p in self.params if not p.required}
        self._split_names: frozenset[str] = frozenset()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def split(self, function: F) -> F:
        """Yields the arguments of each shard. It is given those arguments of the call that it
        names, and `shards`, the number wanted."""
        if self.waits:
            raise TypeError(
                f"{self.name}: a capability that waits asks for tasks, it does not split"
            )
        _check_kind(self.name, function, False)
        self._split_names = frozenset(_names(self.name, function))
        unknown = self._split_names - self._by_name.keys() - {"shards"}
        if unknown:
            raise TypeError(
                f"{self.name}: the split takes {sorted(unknown)}, the function does not"
            )
        self.splitter = function
        return function

    def merge(self, function: F) -> F:
        """Joins results of the function, or of merges, in order, into one of the same form."""
        self.merger = function
        return function

    def pack(self, function: F) -> F:
        """Turns a result into bytes, where it is a part and so only read by a merge. For speed."""
        self.packer = function
        return function

    def unpack(self, function: F) -> F:
        """The opposite of pack: a result, or what else the merge can go through."""
        self.unpacker = function
        return function

    def bind(self, given: Mapping[str, object]) -> dict[str, object]:
        """The keyword arguments of the function. Raises BadArgument."""
        bound = self._defaults.copy()
        for name, value in given.items():
            param = self._by_name.get(name)
            if param is None:
                raise self._unknown(name)
            if type(value) not in param.accepts:
                raise self._mistyped(param, value)
            bound[name] = value
            if param.type == "float" and type(value) is int:
                try:
                    bound[name] = float(value)
                except OverflowError:
                    raise self._mistyped(param, value) from None
        if len(bound) < len(self.params):
            raise self._missing([p.name for p in self.params if p.name not in bound])
        return bound

    def cut(self, bound: Mapping[str, object], shards: int) -> Iterable[Mapping[str, object]]:
        """The arguments of each shard of a call."""
        assert self.splitter
        given = {name: value for name, value in bound.items() if name in self._split_names}
        if "shards" in self._split_names:
            given["shards"] = shards
        return self.splitter(**given)

    def _unknown(self, name: str) -> BadArgument:
        names = ", ".join(self._by_name) or "nothing"
        return BadArgument(
            f"{self.name} has no parameter {name[:100]!r}",
            f"leave it out; {self.name} takes {names}",
        )

    def _mistyped(self, param: Param, value: object) -> BadArgument:
        return BadArgument(
            f"{self.name}: parameter {param.name!r} must be {_kind(param.accepts)}, "
            f"not {_WORDS.get(type(value), type(value).__name__)}",
            f"give {param.name!r} as {_kind(param.accepts)}",
        )

    def _missing(self, names: list[str]) -> BadArgument:
        listed = ", ".join(repr(name) for name in names)
        return BadArgument(f"{self.name}: parameter {listed} is missing", f"give {listed}")


def capability(
    name: str,
    version: str = "1",
    *,
    limits: Limits = NODE_LIMITS,
    doc: str = "",
    check: Check = lambda: NO_OFFER,
    after_kill: Callable[[], None] | None = None,
    waits: bool = False,
) -> Callable[[Callable[P, R]], Capability[P, R]]:
    """Make a function a capability named `area.verb`. Raises TypeError when it cannot be one.

    `check` is called when a node finds out what it can offer; it has 20 s, and may raise NotOffered.
    `after_kill` is called, in a thread, in the process that replaces one that was killed in here.
    With `waits` the function is an `async def` that waits for others more than it computes: it
    takes a place in place of a slot, in one process with all such."""
    if not _NAME.fullmatch(name):
        raise TypeError(f"{name[:100]!r} is no capability name: use area.verb in lower case")
    if not 0 < len(version) <= 32:
        raise TypeError(f"{name}: the version must have 1 to 32 characters")

    def make(function: Callable[P, R]) -> Capability[P, R]:
        text = doc or _clean(function.__doc__ or "")
        return Capability(function, name, version, limits, text, check, after_kill, waits)

    return make


# ---------------------------------------------------------------- parameters from annotations

_NONE = type(None)
_JSON = (str, int, float, bool, _NONE, list, dict)
_WORDS: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    _NONE: "null",
    list: "a list",
    dict: "an object",
    bytes: "bytes",
    Files: "files",
}
_TYPE_WORDS: dict[tuple[type, ...], str] = {
    (str,): "str",
    (int,): "int",
    (float, int): "float",
    (bool,): "bool",
    (bytes,): "bytes",
    (Files,): "files",
}


def _kind(accepts: tuple[type, ...]) -> str:
    shown = [word for kind, word in _WORDS.items() if kind in accepts]
    if float in accepts and int in accepts:
        shown.remove(_WORDS[int])
    return " or ".join(shown)


def _check_kind(name: str, function: Callable[..., Any], waits: bool) -> None:
    flags: int = getattr(getattr(function, "__code__", None), "co_flags", _ASYNC_GENERATOR)
    if flags & _ASYNC_GENERATOR or bool(flags & _COROUTINE) != waits:
        kind = "one that waits is an async def" if waits else "one that is async needs waits=True"
        raise TypeError(f"{name}: a capability is a plain function (def); {kind}")


def _names(name: str, function: Callable[..., Any]) -> tuple[str, ...]:
    code: types.CodeType = getattr(function, "__code__")  # noqa: B009
    if code.co_flags & _VARIADIC or code.co_posonlyargcount:
        raise TypeError(
            f"{name}: every parameter needs a name of its own (no *args, **kwargs or /)"
        )
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _params(name: str, function: Callable[..., Any]) -> tuple[Param, ...]:
    names = _names(name, function)
    plain: tuple[object, ...] = getattr(function, "__defaults__", None) or ()
    code: types.CodeType = getattr(function, "__code__")  # noqa: B009
    positional = names[: code.co_argcount]
    defaults = dict(zip(positional[len(positional) - len(plain) :], plain, strict=True))
    defaults |= getattr(function, "__kwdefaults__", None) or {}
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(f"{name}: {error}; import what the annotations name") from error
    return tuple(
        _param(name, each, hints.get(each, Any), each not in defaults, defaults.get(each))
        for each in names
    )


def _param(name: str, each: str, hint: Any, required: bool, default: object) -> Param:
    doc = ""
    if typing.get_origin(hint) is typing.Annotated:
        hint, *notes = typing.get_args(hint)
        doc = next((note for note in notes if isinstance(note, str)), "")
    accepts = _accepts(hint)
    if accepts is None:
        raise TypeError(
            f"{name}: {each!r} cannot be {hint}; "
            "use str, int, float, bool, bytes, list, dict or Files"
        )
    if default is None and not required and _NONE not in accepts:
        accepts = (*accepts, _NONE)
    bare = tuple(kind for kind in accepts if kind is not _NONE)
    if not required:
        json.dumps(default, default=_no_default(name, each))
    return Param(each, _TYPE_WORDS.get(bare, "json"), accepts, required, default, doc)


def _accepts(hint: Any) -> tuple[type, ...] | None:
    """The exact types of values that fit, in the order first met; None when nothing can."""
    if hint is Any or hint is object:
        return (*_JSON, bytes)
    if hint is None or hint is _NONE:
        return (_NONE,)
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        kinds = [_accepts(each) for each in typing.get_args(hint)]
        flat = [kind for each in kinds for kind in each or ()]
        return None if None in kinds else tuple(dict.fromkeys(flat))
    if origin is typing.Literal:
        return tuple({type(each): None for each in typing.get_args(hint)})
    base = origin or hint
    if base is float:
        return (float, int)
    if base in _WORDS:
        return (base,)
    if not isinstance(base, type) or issubclass(base, str | bytes):
        return None
    if issubclass(base, Mapping):
        return (dict,)
    if issubclass(base, Sequence | Set | Iterable):
        return (list,)
    return None


def _no_default(name: str, each: str) -> Callable[[object], object]:
    def refuse(value: object) -> object:
        if isinstance(value, bytes | Files):
            return None
        raise TypeError(f"{name}: the default of {each!r} must be JSON")

    return refuse


def _clean(doc: str) -> str:
    lines = doc.expandtabs().strip().splitlines()
    return "\n".join(line.strip() for line in lines)
