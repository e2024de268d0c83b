"""The authority of a mesh: who becomes a member, for how long, and who is one no more.

Rule: an id belongs to the key that came with it first. The same key may come again; another key,
or whoever was revoked, needs a token made for that id. Several processes may use it at once: the
node that holds it, and the commands of a person. Its calls block for a few milliseconds.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from nova_proto.identity import certificates, names, token
from nova_proto.identity.errors import IdentityError, shown
from nova_proto.identity.names import Name
from nova_proto.identity.token import Token
from nova_proto.identity.trust import root_key_sha256
from nova_proto.v1 import identity_pb2

from nova_node.core.errors import Invalid, NotFound, Overloaded
from nova_node.identity.authority_files import AuthorityFiles, Member, State, TokenRecord
from nova_node.identity.issuing import DAY_S, make_leaf
from nova_node.identity.signers import (
    LIFETIME_S_MAX,
    new_signer,
    publish,
    replace_old_intermediates,
    signer_for_members,
)
from nova_node.identity.tokens import (
    check_id_is_free,
    check_same_key,
    forget_tokens,
    name_for,
    redeem,
    token_fix,
)

NODE_S = DAY_S
PERSON_S = 30 * DAY_S
RETURN_S = 30 * DAY_S
"""So long after its certificate ran out, a node is let in again without a token."""
TOKEN_S = 15 * 60.0
TOKEN_S_MAX = 7 * DAY_S
TOKENS_MAX = 1_000
MEMBERS_MAX = 10_000
SIGNERS_MAX = 4
DATA_KEYS_MAX = 1_000
_MEMBER_KEPT_S = 365 * DAY_S

Chain = tuple[bytes, ...]
"""DER: the certificate, then the intermediate above it."""


class Authority:
    """Use `create` or `open`. Besides the errors that are named, each call raises Unavailable,
    Corrupt or Refused when its folder cannot be used."""

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time.time, node_s: float = NODE_S
    ) -> None:
        self._files = AuthorityFiles(folder)
        self._clock = clock
        self._node_s = node_s

    @classmethod
    def create(
        cls,
        folder: Path,
        mesh: str,
        node_id: str,
        clock: Callable[[], float] = time.time,
        node_s: float = NODE_S,
    ) -> Authority:
        """For a new mesh, held by this node. Raises InUse when there is one already."""
        now = clock()
        names.check_mesh(mesh)
        names.check_id(node_id)
        data_keys = {1: secrets.token_bytes(32)}
        state = State(mesh, node_id, 0, [new_signer(mesh, now)], {}, {}, {}, data_keys, b"")
        publish(state, now)
        authority = cls(folder, clock, node_s)
        authority._files.create(state)
        return authority

    @classmethod
    def open(
        cls, folder: Path, clock: Callable[[], float] = time.time, node_s: float = NODE_S
    ) -> Authority:
        """`node_s` is how long a node's certificate lasts. Raises NotFound."""
        authority = cls(folder, clock, node_s)
        authority._files.read()
        return authority

    @property
    def mesh(self) -> str:
        return self._files.read().mesh

    @property
    def node(self) -> str:
        """The id of the node that holds it."""
        return self._files.read().node

    def stamp(self) -> tuple[int, int, int]:
        """Another value after each change, whoever made it."""
        return self._files.stamp()

    def signed_trust(self) -> identity_pb2.SignedTrust:
        return identity_pb2.SignedTrust.FromString(self._files.read().trust)

    def data_keys(self) -> list[identity_pb2.DataKey]:
        keys = self._files.read().data_keys
        return [identity_pb2.DataKey(no=no, key=keys[no]) for no in sorted(keys)]

    def issued(self) -> tuple[Member, ...]:
        """The last certificate of everybody, by name."""
        members = self._files.read().members
        return tuple(members[name] for name in sorted(members))

    def tokens(self) -> tuple[TokenRecord, ...]:
        """The newest first, those that are used or expired for a day more."""
        records = self._files.read().tokens.values()
        return tuple(sorted(records, key=lambda r: r.created_at, reverse=True))

    # ------------------------------------------------------------ tokens

    def create_token(self, role: str, ttl_s: float = TOKEN_S, id: str | None = None) -> Token:
        """For one use. With an id it is for that member only, who may come with a new key; an
        older token for the id counts no more. A person's id is the token's.

        Raises IdentityError: identity_malformed (role or id), Invalid, Overloaded."""
        names.check_role(role)
        if not 0 < ttl_s <= TOKEN_S_MAX:
            raise Invalid(f"a token cannot last {ttl_s} s", f"use 1 to {TOKEN_S_MAX:.0f} s (--ttl)")
        now = self._clock()
        secret = token.new_secret()
        with self._files.changing() as state:
            forget_tokens(state, now)
            if len(state.tokens) >= TOKENS_MAX:
                raise Overloaded(
                    f"{TOKENS_MAX} tokens are kept", "revoke some: `nova-node token revoke`"
                )
            made = Token(
                root_key_sha256(state.signers[0].root),
                secrets.token_hex(8) if id is None else names.check_id(id),
                secret,
            )
            state.tokens[made.id] = TokenRecord(
                made.id, role, token.secret_hash(secret), now, now + ttl_s, id is not None
            )
        return made

    def revoke_token(self, id: str) -> None:
        """Raises NotFound."""
        with self._files.changing() as state:
            if state.tokens.pop(id, None) is None:
                raise NotFound(f"no token {shown(id)}", "see `nova-node token list`")

    # ------------------------------------------------------------ members

    def enroll(self, token_text: str, csr: bytes, wanted_node_id: str = "") -> Chain:
        """Let somebody in by a token; or, without one, a node whose key is known and whose
        certificate ran out. `wanted_node_id` "" is a person.

        Raises IdentityError: token_invalid, token_expired, token_used, identity_malformed;
        without a token also identity_untrusted, identity_revoked, identity_expired."""
        public = certificates.read_request(csr)
        if not token_text:
            return self._readmit(public, names.check_id(wanted_node_id))
        shown_token = token.parse_token(token_text)
        now = self._clock()
        with self._files.changing() as state:
            record = redeem(state, shown_token, now)
            name = name_for(state, record, wanted_node_id)
            check_id_is_free(state, name, public, record)
            chain = self._sign(state, name, public, self._lifetime_s(name), now)
            state.tokens[record.id] = replace(record, used_at=now)
        return chain

    def renew(self, csr: bytes, name: Name) -> Chain:
        """A new certificate for a member, whose connection proved the name.

        Raises IdentityError: identity_malformed, identity_revoked, identity_wrong_name (another
        key)."""
        public = certificates.read_request(csr)
        with self._files.changing() as state:
            known = state.members.get(name.short)
            if known is not None:
                check_same_key(known, public)
            return self._sign(state, name, public, self._lifetime_s(name), self._clock())

    def issue(self, csr: bytes, name: Name, lifetime_s: float | None = None) -> Chain:
        """What the person at this machine asks for, with no questions.

        Raises IdentityError: identity_malformed, identity_wrong_mesh; Invalid, Overloaded."""
        public = certificates.read_request(csr)
        lifetime_s = self._lifetime_s(name) if lifetime_s is None else lifetime_s
        if not 1 <= lifetime_s <= LIFETIME_S_MAX:
            raise Invalid(
                f"a certificate cannot last {lifetime_s} s", f"use 1 to {LIFETIME_S_MAX:.0f} s"
            )
        with self._files.changing() as state:
            return self._sign(state, name, public, lifetime_s, self._clock())

    def revoke(self, name: Name) -> None:
        """Its certificates count no more, nor do tokens made for it. Raises NotFound, Invalid."""
        with self._files.changing() as state:
            known = state.members.get(name.short)
            if known is None or name.mesh != state.mesh:
                raise NotFound(f"no member {name.short}", "see `nova-node members`")
            if name.short == f"{names.NODE_ROLE}/{state.node}":
                raise Invalid(
                    "this node holds the authority and cannot be revoked",
                    "revoke the others, or make a new mesh on another node: `nova-node init`",
                )
            now = self._clock()
            # certificates know whole seconds: one of this very second goes too
            revoked_at = float(int(now) + 1)
            state.revoked[name.short] = revoked_at
            state.members[name.short] = replace(known, revoked_at=revoked_at)
            state.tokens.pop(name.id, None)
            publish(state, now)

    def _readmit(self, public: ec.EllipticCurvePublicKey, node_id: str) -> Chain:
        now = self._clock()
        with self._files.changing() as state:
            name = Name(state.mesh, names.NODE_ROLE, node_id)
            known = state.members.get(name.short)
            if known is None:
                raise IdentityError(
                    "identity_untrusted", f"{name.short} was never a member", token_fix(node_id)
                )
            check_same_key(known, public)
            if now > known.expires_at + RETURN_S:
                raise IdentityError(
                    "identity_expired", f"{name.short} was away for too long", token_fix(node_id)
                )
            return self._sign(state, name, public, self._lifetime_s(name), now)

    def _lifetime_s(self, name: Name) -> float:
        return self._node_s if name.role == names.NODE_ROLE else PERSON_S

    def _sign(
        self,
        state: State,
        name: Name,
        public: ec.EllipticCurvePublicKey,
        lifetime_s: float,
        now: float,
    ) -> Chain:
        """Make the certificate and remember it."""
        if name.mesh != state.mesh:
            raise certificates.wrong_mesh(name, state.mesh)
        _forget_members(state, now)
        if name.short not in state.members and len(state.members) >= MEMBERS_MAX:
            raise Overloaded(f"the mesh has {MEMBERS_MAX} members", "revoke those that are gone")
        if replace_old_intermediates(state, now):
            publish(state, now)
        signer = signer_for_members(state, now)
        issued_at = max(float(int(now)), state.revoked.get(name.short, 0.0))
        leaf = make_leaf(
            name,
            public,
            certificates.key_from_pem(signer.key),
            signer.certificate,
            issued_at,
            issued_at + lifetime_s,
        )
        facts = certificates.read_leaf(leaf)
        state.members[name.short] = Member(
            name.short,
            facts.serial,
            facts.public_key_sha256,
            hashlib.sha256(signer.root).digest(),
            facts.issued_at,
            facts.not_after,
        )
        return leaf, signer.certificate

    # ------------------------------------------------------------ keys of the mesh

    def rotate(self) -> None:
        """A new root, trusted beside the old ones. Members change over as they renew; then
        `drop_old_roots`. Raises Overloaded."""
        with self._files.changing() as state:
            if len(state.signers) >= SIGNERS_MAX:
                raise Overloaded(
                    f"{SIGNERS_MAX} roots are trusted at once",
                    "wait until all members have renewed, and the old roots are dropped",
                )
            now = self._clock()
            state.signers.append(new_signer(state.mesh, now))
            publish(state, now)

    def drop_old_roots(self, force: bool = False) -> tuple[Member, ...]:
        """Trust the newest root alone, unless members still need another: they are returned, and
        nothing changed. With `force` they are cut off."""
        with self._files.changing() as state:
            now = self._clock()
            newest = hashlib.sha256(state.signers[-1].root).digest()
            waiting = tuple(
                member
                for member in state.members.values()
                if member.root_sha256 != newest
                and member.expires_at > now
                and member.revoked_at is None
            )
            if len(state.signers) > 1 and (force or not waiting):
                state.signers = state.signers[-1:]
                publish(state, now)
        return waiting

    def rotate_data_key(self) -> None:
        """The next key for data at rest; older ones stay for reading. Raises Overloaded."""
        with self._files.changing() as state:
            if len(state.data_keys) >= DATA_KEYS_MAX:
                raise Overloaded(f"the mesh has {DATA_KEYS_MAX} data keys", "keep using the last")
            state.data_keys[max(state.data_keys) + 1] = secrets.token_bytes(32)
            publish(state, self._clock())


def _forget_members(state: State, now: float) -> None:
    kept_from = now - _MEMBER_KEPT_S
    state.members = {n: m for n, m in state.members.items() if m.expires_at > kept_from}
