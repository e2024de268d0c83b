"""Who the person at this client is, and how a node is reached as that person. Everything here blocks.

Rule: beyond this machine nothing is sent in plaintext, and no member is taken for another.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from nova_proto.identity import certificates, enrol, folder, joining, person, tls
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials
from nova_proto.identity.token import parse_token
from nova_proto.identity.trust import read_trust, stored_trust
from nova_proto.v1 import identity_pb2

from nova_client import errors
from nova_client.find import Access, Place, may_be_plain, split

PROBE_TIMEOUT_S = 5.0
_START = "start one with `nova-node start`, or name one that runs: --node HOST:PORT"

RENEWED_AT = 2 / 3
"""Of a certificate's life."""
NEW_ROOT_WAITS_S = 90.0
"""A new root is first made known, then signs."""


class Login(NamedTuple):
    identity: Credentials
    kept_in: Path
    expires_at: float
    #: None when no node was found beside the authority's
    node: person.Remembered | None


# ------------------------------------------------------------ reaching a node


def access(place: Place, given: Credentials | None = None) -> Access:
    """`given`, or the identity among this person's that the node at `place` shares a mesh with.

    Raises Refused (no identity for it, or an unusable one), Unreachable, Invalid."""
    held = _held(place.mesh if place.secure else "") if given is None else [(given, None)]
    local = may_be_plain(place.address)
    if not held and local and not place.secure:
        return Access(place.address)
    if not held:
        raise _no_identity(place)
    if place.secure and place.node and place.mesh:
        identity, kept_in = held[0]
        return Access(place.address, place.node, identity, kept_in)
    return _probe(place.address, held, local)


def _probe(address: str, held: Sequence[tuple[Credentials, Path | None]], local: bool) -> Access:
    """The one of these identities whose mesh the node at the address is in."""
    host, port = split(address)
    refused: IdentityError | None = None
    for identity, kept_in in held:
        try:
            node = tls.node_at(host, port, identity, PROBE_TIMEOUT_S)
        except IdentityError as error:
            if local and error.code == "identity_missing":
                return Access(address)
            if error.code == "unavailable":
                raise errors.Unreachable(f"no node answers at {address}", _START) from None
            way = _catch_up(Access(address, "", identity, kept_in), error)
            if way is not None:
                return way
            refused = refused or error
        else:
            return Access(address, node, identity, kept_in)
    assert refused is not None
    raise to_error(refused)


def recover(way: Access) -> Access | None:
    """Another way to a node that does not answer, once this person knows what the mesh trusts now;
    None when nobody is there. Raises NovaError: what one of the two has against the other."""
    assert way.identity is not None
    host, port = split(way.address)
    why = tls.explain(host, port, way.identity, way.node, PROBE_TIMEOUT_S)
    if why is None:
        raise errors.Refused(
            f"the node at {way.address} ends the connection when it sees the certificate of"
            f" {way.identity.name.short}",
            "ask for a new token (nova-node token create where the mesh was made), then nova login",
            "identity_untrusted",
        )
    if why.code == "unavailable":
        return None
    fresh = _catch_up(way, why)
    if fresh is None:
        raise to_error(why)
    return fresh


def _catch_up(way: Access, error: IdentityError) -> Access | None:
    """None when it is not for a new root that the node is not trusted."""
    if error.code != "identity_untrusted" or way.identity is None:
        return None
    host, port = split(way.address)
    try:
        fresh = joining.catch_up(host, port, way.identity)
        node = tls.node_at(host, port, fresh, PROBE_TIMEOUT_S)
    except IdentityError:
        return None
    if way.node not in ("", node):
        return None
    way = way._replace(identity=fresh, node=node)
    _keep(way, fresh)
    return way


def to_error(error: IdentityError) -> errors.NovaError:
    """With the same code; what the node says of TLS is Refused."""
    return errors.from_code(error.code, error.message, error.fix)


def _held(mesh: str) -> list[tuple[Credentials, Path | None]]:
    """This person's identities; those that cannot be used are no help, unless one is asked for."""
    found: list[tuple[Credentials, Path | None]] = []
    for where in person.folders():
        if mesh and where.name != mesh:
            continue
        try:
            found.append((folder.load(where), where))
        except IdentityError as error:
            if mesh:
                raise to_error(error) from None
    return found


def _no_identity(place: Place) -> errors.Refused:
    whose = f"of mesh {place.mesh}" if place.mesh else "of any mesh"
    return errors.Refused(
        f"you have no identity {whose}, and the node at {place.address} talks to members only",
        "get a token from where the mesh was made (nova-node token create --role submitter --id"
        " NAME), then here: nova login --node HOST",
        "identity_missing",
    )


# ------------------------------------------------------------ becoming and staying a member


def login(address: str, token_text: str) -> Login:
    """Enter a mesh as the person that a token names. `address`, host or host:port, is of the node
    that holds the authority.

    Raises Refused, Unreachable, Invalid."""
    host, port = split(address, 0)
    try:
        credentials, _ = joining.enroll_near(host, port, parse_token(token_text))
        kept_in = person.folder_of(credentials.name.mesh)
        folder.save(kept_in, credentials)
    except IdentityError as error:
        raise to_error(error) from None
    node = joining.node_near(host, port, credentials)
    if node is not None:
        with suppress(OSError):
            person.remember(kept_in, node)
    facts = certificates.read_leaf(credentials.chain[0])
    return Login(credentials, kept_in, facts.not_after, node)


class News(NamedTuple):
    """What changed for a person since the last look."""

    identity: Credentials
    #: whether a new certificate should be asked for
    is_due: bool
    #: whether nodes may soon show certificates that were not trusted before
    has_other_roots: bool
    #: id of the node that gives it
    authority: str


def take_trust(way: Access, signed: identity_pb2.SignedTrust) -> News | None:
    """What the mesh trusts now, kept when it is newer. None when nothing is new nor due."""
    identity = way.identity
    assert identity is not None
    known = stored_trust(identity.trust)
    try:
        trust = read_trust(signed, time.time(), previous=known)
    except IdentityError:
        return None
    fresh = identity
    if trust.version > known.version:
        fresh = Credentials(
            identity.name, identity.key_pem, identity.chain, signed.SerializeToString()
        )
        _keep(way, fresh)
    due = _is_due(fresh, trust)
    if fresh is identity and not due:
        return None
    return News(fresh, due, list(trust.roots) != list(known.roots), trust.authority)


def renew(way: Access, address: str, authority: str) -> Credentials:
    """A new certificate, kept. Raises NovaError."""
    assert way.identity is not None
    try:
        fresh, _ = enrol.renew(address, authority, way.identity)
    except IdentityError as error:
        raise to_error(error) from None
    _keep(way, fresh)
    return fresh


def _keep(way: Access, identity: Credentials) -> None:
    if way.kept_in is not None:
        with suppress(IdentityError):
            folder.save(way.kept_in, identity)


def _is_due(identity: Credentials, trust: identity_pb2.Trust) -> bool:
    """Late in its life, or not below the newest root once that one signs."""
    now = time.time()
    facts = certificates.read_leaf(identity.chain[0])
    if now > facts.issued_at + RENEWED_AT * (facts.not_after - facts.issued_at):
        return True
    newest = trust.roots[-1]
    made_at = certificates.parse(newest).not_valid_before_utc.timestamp() + certificates.BACKDATE_S
    if now < made_at + NEW_ROOT_WAITS_S:
        return False
    try:
        certificates.verify_chain(identity.chain, [newest], now)
    except IdentityError:
        return True
    return False
