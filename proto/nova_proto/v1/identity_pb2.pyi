from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RootsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EnrollRequest(_message.Message):
    __slots__ = ("token", "request", "node")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    token: str
    request: bytes
    node: str
    def __init__(self, token: _Optional[str] = ..., request: _Optional[bytes] = ..., node: _Optional[str] = ...) -> None: ...

class EnrollReply(_message.Message):
    __slots__ = ("chain", "trust", "keys")
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    TRUST_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    chain: _containers.RepeatedScalarFieldContainer[bytes]
    trust: SignedTrust
    keys: _containers.RepeatedCompositeFieldContainer[DataKey]
    def __init__(self, chain: _Optional[_Iterable[bytes]] = ..., trust: _Optional[_Union[SignedTrust, _Mapping]] = ..., keys: _Optional[_Iterable[_Union[DataKey, _Mapping]]] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    def __init__(self, request: _Optional[bytes] = ...) -> None: ...

class DataKey(_message.Message):
    __slots__ = ("no", "key")
    NO_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    no: int
    key: bytes
    def __init__(self, no: _Optional[int] = ..., key: _Optional[bytes] = ...) -> None: ...

class Trust(_message.Message):
    __slots__ = ("mesh", "version", "roots", "revoked", "authority", "issued_at", "data_key")
    MESH_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    DATA_KEY_FIELD_NUMBER: _ClassVar[int]
    mesh: str
    version: int
    roots: _containers.RepeatedScalarFieldContainer[bytes]
    revoked: _containers.RepeatedCompositeFieldContainer[Revoked]
    authority: str
    issued_at: float
    data_key: int
    def __init__(self, mesh: _Optional[str] = ..., version: _Optional[int] = ..., roots: _Optional[_Iterable[bytes]] = ..., revoked: _Optional[_Iterable[_Union[Revoked, _Mapping]]] = ..., authority: _Optional[str] = ..., issued_at: _Optional[float] = ..., data_key: _Optional[int] = ...) -> None: ...

class Revoked(_message.Message):
    __slots__ = ("name", "revoked_at")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    name: str
    revoked_at: float
    def __init__(self, name: _Optional[str] = ..., revoked_at: _Optional[float] = ...) -> None: ...

class SignedTrust(_message.Message):
    __slots__ = ("trust", "signature", "signer")
    TRUST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    trust: bytes
    signature: bytes
    signer: bytes
    def __init__(self, trust: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., signer: _Optional[bytes] = ...) -> None: ...

class GetTrustRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PutTrustReply(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: int
    def __init__(self, version: _Optional[int] = ...) -> None: ...

class Manifest(_message.Message):
    __slots__ = ("mesh", "audience", "request_id", "issued_at", "expires_at", "groups")
    MESH_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    mesh: str
    audience: str
    request_id: str
    issued_at: float
    expires_at: float
    groups: _containers.RepeatedCompositeFieldContainer[ManifestGroup]
    def __init__(self, mesh: _Optional[str] = ..., audience: _Optional[str] = ..., request_id: _Optional[str] = ..., issued_at: _Optional[float] = ..., expires_at: _Optional[float] = ..., groups: _Optional[_Iterable[_Union[ManifestGroup, _Mapping]]] = ...) -> None: ...

class ManifestGroup(_message.Message):
    __slots__ = ("demand", "calls")
    DEMAND_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    demand: bytes
    calls: bytes
    def __init__(self, demand: _Optional[bytes] = ..., calls: _Optional[bytes] = ...) -> None: ...

class Mandate(_message.Message):
    __slots__ = ("manifest", "signature", "chain")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    manifest: bytes
    signature: bytes
    chain: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, manifest: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., chain: _Optional[_Iterable[bytes]] = ...) -> None: ...

class AuditHead(_message.Message):
    __slots__ = ("node", "count", "hash", "time", "signature", "chain")
    NODE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    node: str
    count: int
    hash: bytes
    time: float
    signature: bytes
    chain: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, node: _Optional[str] = ..., count: _Optional[int] = ..., hash: _Optional[bytes] = ..., time: _Optional[float] = ..., signature: _Optional[bytes] = ..., chain: _Optional[_Iterable[bytes]] = ...) -> None: ...

class PutHeadReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
