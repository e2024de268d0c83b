"""From the references that a task carries to values, on the node that runs the attempt.

`secret:NAME` is in this node's store; `env:NAME`, `file:PATH` and `keyring:NAME` only where the setting
`secret_sources` allows. Rule: each attempt asks anew, and no message holds a value.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase

from nova_node.core.errors import Invalid, NovaError, Refused, Unavailable
from nova_node.core.model import Attempt, Failure
from nova_node.secrets.redact import Revealed
from nova_node.secrets.sources import Sources
from nova_node.secrets.store import Secret, Store, check_value

log = logging.getLogger("nova.secrets")

Answers = tuple[dict[int, Revealed], dict[int, Failure]]
"""By the place of an attempt: its values, or why it has none."""


class Resolver:
    def __init__(self, store: Store, sources: Sources) -> None:
        self._store, self._sources = store, sources

    def reveal_all(self, attempts: Sequence[Attempt]) -> Answers:
        """For those that carry references. Blocks. Attempts that come at once with the same demand of
        the same person are one question."""
        revealed: dict[int, Revealed] = {}
        failed: dict[int, Failure] = {}
        asked: dict[object, Revealed | Failure] = {}
        for place, attempt in enumerate(attempts):
            if not attempt.demand.secrets:
                continue
            question = (attempt.demand, _submitter(attempt))
            if question not in asked:
                asked[question] = self._answer(attempt)
            answer = asked[question]
            if isinstance(answer, Failure):
                failed[place] = answer
            else:
                revealed[place] = answer
        return revealed, failed

    def reveal(self, attempt: Attempt) -> Revealed:
        """Blocks. Raises NovaError: secret_missing (another node may have it), secret_refused."""
        pairs = attempt.demand.secrets
        return Revealed({name: self._value(reference, attempt) for name, reference in pairs})

    def _answer(self, attempt: Attempt) -> Revealed | Failure:
        try:
            return self.reveal(attempt)
        except NovaError as error:
            failure = error.failure()
            if failure.code.startswith("secret_"):
                return failure
            return failure._replace(code="secret_missing", retryable=True)  # of the store itself
        except Exception:
            log.exception("a bug in Nova: the secrets of a task could not be found")
            return NovaError("the secrets of the task could not be found").failure()

    def _value(self, reference: str, attempt: Attempt) -> str:
        kind, _, name = reference.partition(":")
        if kind == "secret":
            secret = self._store.get(name)
            if secret:
                _check_rules(secret, attempt)
            value = secret.value if secret else None
            fix = f"on each node that may run the task: nova-node secret set {name}"
        else:
            value = self._sources.read(kind, name)
            fix = "provide it on each node that may run the task, an env: before the node starts"
        if value is None:
            raise Unavailable(f"this node has no {reference}", fix, "secret_missing")
        try:
            check_value(value)
        except Invalid as error:
            raise Refused(f"{reference}: {error.message}", error.fix, "secret_refused") from None
        return value


def _check_rules(secret: Secret, attempt: Attempt) -> None:
    """Raises Refused."""
    capability, role = attempt.demand.capability, _submitter(attempt).partition("/")[0]
    if secret.capabilities and not any(fnmatchcase(capability, p) for p in secret.capabilities):
        raise _refused(secret, f"the capability {capability}", "--capability", capability)
    if secret.roles and role not in secret.roles:
        whose = f"tasks of the role {role}" if role else "tasks in a mesh without identity"
        raise _refused(secret, whose, "--role", role or secret.roles[0])


def _refused(secret: Secret, whose: str, option: str, value: str) -> Refused:
    return Refused(
        f"secret:{secret.name} of this node is not for {whose}",
        f"if it should be, set it again with {option} {value} beside what it is for now",
        "secret_refused",
    )


def _submitter(attempt: Attempt) -> str:
    return attempt.mandate.submitter if attempt.mandate else ""
