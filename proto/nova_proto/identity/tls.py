"""Mutual TLS for callers: what a channel shows and expects, and why it was refused.

gRPC says UNAVAILABLE whatever went wrong; `explain` knocks once more, without gRPC, and looks.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence

import grpc

from nova_proto.identity import certificates, names
from nova_proto.identity.certificates import Facts
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials
from nova_proto.identity.trust import check_not_revoked, revocations, stored_trust

_EXPIRED, _NOT_YET_VALID = 10, 9
"""OpenSSL's codes of a refused certificate."""


def channel_credentials(credentials: Credentials) -> grpc.ChannelCredentials:
    """Use together with `pin`: alone they would take any member for the one that was meant."""
    return grpc.ssl_channel_credentials(
        root_certificates=certificates.der_to_pem(stored_trust(credentials.trust).roots),
        private_key=credentials.key_pem,
        certificate_chain=certificates.der_to_pem(credentials.chain),
    )


def pin(mesh: str, node_id: str) -> list[tuple[str, str]]:
    """Channel options: only this node may answer."""
    return [("grpc.ssl_target_name_override", names.server_name(mesh, node_id))]


def node_at(host: str, port: int, credentials: Credentials, timeout_s: float = 5.0) -> str:
    """The id of the node that answers there, for when only an address is known. Blocks.

    Raises IdentityError: the codes of `explain`."""
    return _member_at(host, port, credentials, timeout_s).name.id


def explain(
    host: str, port: int, credentials: Credentials, node_id: str = "", timeout_s: float = 5.0
) -> IdentityError | None:
    """Why no connection can be made, or None if that is not for TLS. Blocks.

    Codes: unavailable (nobody there), identity_missing (no TLS there), identity_malformed,
    identity_wrong_mesh, identity_wrong_name, identity_untrusted, identity_not_yet_valid,
    identity_expired, identity_revoked. Both sides are looked at, one's own first."""
    try:
        trust = stored_trust(credentials.trust)
        own = certificates.verify_chain(
            credentials.chain, trust.roots, time.time(), credentials.name.mesh
        )
        check_not_revoked(own, revocations(trust))
        facts = _member_at(host, port, credentials, timeout_s)
    except IdentityError as error:
        return error
    if node_id and facts.name.id != node_id:
        return IdentityError(
            "identity_wrong_name",
            f"{host}:{port} is {facts.name.id}, not {node_id}",
            "use the address of the node that you mean; see `nova nodes`",
        )
    return None


def leaf_at(host: str, port: int, timeout_s: float, roots: Sequence[bytes] | None = None) -> bytes:
    """The certificate of whoever answers, DER; without `roots` nobody has checked it. Blocks.

    Raises ssl.SSLCertVerificationError when it does not lead to `roots`, IdentityError:
    unavailable, identity_missing."""
    try:
        with (
            # the whole handshake has to be done in this time, too, however slowly its bytes come
            socket.create_connection((host, port), timeout_s) as plain,
            _context(roots).wrap_socket(plain) as secure,
        ):
            leaf = secure.getpeercert(binary_form=True)
    except ssl.SSLCertVerificationError:
        raise
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError) as error:
        raise IdentityError(
            "identity_missing",
            f"{host}:{port} does not answer in TLS 1.3 ({type(error).__name__})",
            "if a node runs there it has no identity: `nova-node join` on that machine",
        ) from None
    except (OSError, UnicodeError) as error:
        raise IdentityError(
            "unavailable",
            f"nobody answers at {host}:{port}: {error}",
            "see that the node runs, and that no firewall is between",
        ) from None
    if leaf is None:
        raise IdentityError("identity_missing", f"{host}:{port} shows no certificate")
    return leaf


def _member_at(host: str, port: int, credentials: Credentials, timeout_s: float) -> Facts:
    trust = stored_trust(credentials.trust)
    try:
        leaf = leaf_at(host, port, timeout_s, trust.roots)
    except ssl.SSLCertVerificationError as error:
        leaf = leaf_at(host, port, timeout_s)
        raise _why_refused(leaf, credentials.name.mesh, error.verify_code) from None
    facts = certificates.read_leaf(leaf)
    if facts.name.mesh != credentials.name.mesh:
        raise certificates.wrong_mesh(facts.name, credentials.name.mesh)
    check_not_revoked(facts, revocations(trust))
    return facts


def _why_refused(leaf: bytes, mesh: str, verify_code: int) -> IdentityError:
    """What OpenSSL refused, in our words. The names in it are not verified."""
    try:
        facts = certificates.read_leaf(leaf)
        if facts.name.mesh != mesh:
            return certificates.wrong_mesh(facts.name, mesh)
        certificates.check_time(certificates.parse(leaf), facts.name.short, time.time())
    except IdentityError as error:
        return error
    if verify_code in (_EXPIRED, _NOT_YET_VALID):
        code = "identity_expired" if verify_code == _EXPIRED else "identity_not_yet_valid"
        return IdentityError(
            code,
            f"the authority that signed for {facts.name.short} is outside its time",
            "see that the clocks of both machines are right",
        )
    return certificates.untrusted(facts.name.short)


def _context(roots: Sequence[bytes] | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    if roots is None:
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(cadata=b"".join(roots))
    return context
