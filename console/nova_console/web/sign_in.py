"""`nova console --web-sign-in CODE@HOST:PORT`: a member lets a browser in, with the key that stays here.

Rule: nothing is signed for a server that has not shown first that a member of the mesh runs it, behind
the very TLS certificate that is seen from here.
"""

from __future__ import annotations

import hashlib
import http.client
import secrets
import ssl
from collections.abc import Callable
from typing import NamedTuple

from nova_client import Invalid, Refused, find
from nova_client.identity import to_error
from nova_proto.identity import folder, person
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials

from nova_console.web import control, statement


class Asked(NamedTuple):
    """What the person is asked to approve."""

    code: str
    browser: str
    remote: str
    asked_s: float
    server: str
    #: the member who runs it
    starter: str
    me: str
    #: that the browser has to show too
    fingerprint: str


def sign_in(target: str, approve: Callable[[Asked], bool]) -> tuple[str, bool]:
    """The name that the browser has now, and whether it may act. Raises NovaError."""
    code, at, address = target.partition("@")
    if not code or not at:
        raise Invalid("that is no sign-in", "copy the command that the page shows: CODE@HOST:PORT")
    host, port = find.split(address, 443)
    with control.connection(host, port, is_secure=True) as wire:
        leaf_sha256 = _leaf_sha256(wire)
        nonce = secrets.token_urlsafe(16)
        said = control.post(wire, "/approve/ask", {"code": code, "nonce": nonce})
        code, mesh = str(said.get("code")), str(said.get("mesh"))
        me = _identity(mesh)
        proof = str(said.get("proof"))
        starter = statement.verify(proof, me, statement.SERVES, code, leaf_sha256, nonce)
        asked = Asked(
            code,
            str(said.get("browser")),
            str(said.get("remote")),
            float(said.get("asked_s", 0.0)),
            address,
            starter.name.short,
            me.name.short,
            ":".join(leaf_sha256[i : i + 2] for i in range(0, 64, 2)).upper(),
        )
        if not approve(asked):
            raise Refused("nothing was signed", "")
        signed = statement.sign(me, statement.SIGNS_IN, code, leaf_sha256)
    # the person may have taken long, and a connection is not kept that long
    with control.connection(host, port, is_secure=True) as wire:
        if _leaf_sha256(wire) != leaf_sha256:
            raise Refused("another server answers now", "try again, from a network that you trust")
        done = control.post(wire, "/approve", {"code": code, "statement": signed})
    return str(done.get("who")), done.get("acts") is True


def _leaf_sha256(wire: http.client.HTTPConnection) -> str:
    assert isinstance(wire.sock, ssl.SSLSocket)
    return hashlib.sha256(wire.sock.getpeercert(binary_form=True) or b"").hexdigest()


def _identity(mesh: str) -> Credentials:
    try:
        return folder.load(person.folder_of(mesh))
    except IdentityError as error:
        raise to_error(error) from None
