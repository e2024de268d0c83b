"""What services note of their callers in the audit log: who, from where, what. Never what a task holds.

Rule: what changes anything is refused while the log cannot be written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from nova_node.core.errors import NovaError, Refused
from nova_node.core.model import Group
from nova_node.core.owner import SubmitAnswer
from nova_node.core.policy import METHODS, Right
from nova_node.server.caller import caller
from nova_node.server.gate import Gate, Shown

if TYPE_CHECKING:
    from nova_node.audit.log import AuditLog

LOCAL = "local"
"""Who calls where there is no identity: this user."""

CHANGING = frozenset({Right.SUBMIT, Right.CANCEL, Right.OPERATE, Right.JOIN})
UNWRITTEN_OK = frozenset({"/nova.v1.Join/Roots"})

Submitted = Callable[[Sequence[Group], SubmitAnswer], None]


class Audited:
    """`log` None: nothing is noted."""

    def __init__(self, log: AuditLog | None = None) -> None:
        self._log = log
        self._refusals: Any = None
        if log is not None:
            from nova_node.audit.refusals import Refusals

            self._refusals = Refusals(log.note, monotonic)

    def check(self, method: str) -> None:
        """Before a call. Raises Overloaded when it would change something that cannot be noted."""
        if self._log is not None and METHODS.get(method) in CHANGING and method not in UNWRITTEN_OK:
            self._log.check()

    def note(self, context: Any, what: str, subject: str = "", **details: str | int) -> None:
        if self._log is not None:
            self._log.note(who(context), origin(context), what, subject, **details)

    def joined(self, context: Any, name: str) -> None:
        """`name`, "<role>/<id>", is a member from now on; the caller had none before."""
        if self._log is not None:
            self._log.note(name, origin(context), "join", name)

    def refused(self, context: Any, method: str, error: NovaError) -> None:
        if self._refusals is not None and isinstance(error, Refused):
            self._refusals.refused(_known(context), origin(context), method, error.code)

    def submits(self, context: Any) -> Submitted:
        """What notes the submits of this caller when they are accepted."""
        log = self._log
        if log is None:
            return lambda groups, answer: None
        name, place = who(context), origin(context)

        def submitted(groups: Sequence[Group], answer: SubmitAnswer) -> None:
            log.note(
                name,
                place,
                "submit",
                answer.request_id,
                first=answer.first,
                count=answer.tasks,
                capability=", ".join(sorted({group.demand.capability for group in groups})),
            )

        return submitted


UNAUDITED = Audited()


class AuditedGate:
    """A gate, and what it refuses is noted."""

    def __init__(self, gate: Gate, audited: Audited) -> None:
        self._gate = gate
        self._audited = audited

    def enter(self, method: str, context: Any) -> Shown:
        """Raises NovaError."""
        try:
            shown = self._gate.enter(method, context)
        except NovaError as error:
            self._audited.refused(context, method, error)
            raise
        self._audited.check(method)
        return shown

    def check(self, shown: Shown) -> None:
        self._gate.check(shown)


def who(context: Any) -> str:
    """ "<role>/<id>", or LOCAL in a mesh without identity."""
    name = caller(context)
    return name.short if name is not None else LOCAL


def origin(context: Any) -> str:
    """HOST:PORT of the caller."""
    kind, _, address = unquote(str(context.peer())).partition(":")
    return address if kind in ("ipv4", "ipv6") else kind


def _known(context: Any) -> str:
    """A caller that is refused at the gate has no name yet but that of its certificate, if any."""
    name = caller(context)
    if name is not None:
        return name.short
    uri: bytes = (*context.auth_context().get("peer_spiffe_id", ()), b"")[0]
    return "/".join(uri.decode(errors="replace").split("/")[3:])
