from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Encoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENCODING_RAW: _ClassVar[Encoding]
    ENCODING_JSON: _ClassVar[Encoding]

class Durability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOURNALED: _ClassVar[Durability]
    VOLATILE: _ClassVar[Durability]

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN: _ClassVar[Phase]
    SPLIT: _ClassVar[Phase]
    MERGE: _ClassVar[Phase]

class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATUS_UNKNOWN: _ClassVar[Status]
    WAITING: _ClassVar[Status]
    BACKOFF: _ClassVar[Status]
    RUNNING: _ClassVar[Status]
    DONE: _ClassVar[Status]
    FAILED: _ClassVar[Status]
    CANCELLED: _ClassVar[Status]
ENCODING_RAW: Encoding
ENCODING_JSON: Encoding
JOURNALED: Durability
VOLATILE: Durability
RUN: Phase
SPLIT: Phase
MERGE: Phase
STATUS_UNKNOWN: Status
WAITING: Status
BACKOFF: Status
RUNNING: Status
DONE: Status
FAILED: Status
CANCELLED: Status

class BlobRef(_message.Message):
    __slots__ = ("id", "size_bytes", "encoding", "holders")
    ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    id: str
    size_bytes: int
    encoding: Encoding
    holders: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., size_bytes: _Optional[int] = ..., encoding: _Optional[_Union[Encoding, str]] = ..., holders: _Optional[_Iterable[str]] = ...) -> None: ...

class Extent(_message.Message):
    __slots__ = ("name", "blob_id", "offset", "size_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BLOB_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    blob_id: str
    offset: int
    size_bytes: int
    def __init__(self, name: _Optional[str] = ..., blob_id: _Optional[str] = ..., offset: _Optional[int] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("json", "raw", "blob", "files", "pack")
    JSON_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    PACK_FIELD_NUMBER: _ClassVar[int]
    json: bytes
    raw: bytes
    blob: BlobRef
    files: _containers.RepeatedCompositeFieldContainer[Extent]
    pack: BlobRef
    def __init__(self, json: _Optional[bytes] = ..., raw: _Optional[bytes] = ..., blob: _Optional[_Union[BlobRef, _Mapping]] = ..., files: _Optional[_Iterable[_Union[Extent, _Mapping]]] = ..., pack: _Optional[_Union[BlobRef, _Mapping]] = ...) -> None: ...

class Files(_message.Message):
    __slots__ = ("extents",)
    EXTENTS_FIELD_NUMBER: _ClassVar[int]
    extents: _containers.RepeatedCompositeFieldContainer[Extent]
    def __init__(self, extents: _Optional[_Iterable[_Union[Extent, _Mapping]]] = ...) -> None: ...

class Input(_message.Message):
    __slots__ = ("name", "raw", "files")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    name: str
    raw: bytes
    files: Files
    def __init__(self, name: _Optional[str] = ..., raw: _Optional[bytes] = ..., files: _Optional[_Union[Files, _Mapping]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("wall_s", "cpu_s", "memory_bytes", "output_bytes")
    WALL_S_FIELD_NUMBER: _ClassVar[int]
    CPU_S_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    wall_s: float
    cpu_s: float
    memory_bytes: int
    output_bytes: int
    def __init__(self, wall_s: _Optional[float] = ..., cpu_s: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., output_bytes: _Optional[int] = ...) -> None: ...

class Demand(_message.Message):
    __slots__ = ("capability", "version", "labels", "durability", "priority", "max_attempts", "limits", "deadline_s", "shards", "secrets", "sensitive", "prefers", "allowance_uusd")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SecretsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_S_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_FIELD_NUMBER: _ClassVar[int]
    PREFERS_FIELD_NUMBER: _ClassVar[int]
    ALLOWANCE_UUSD_FIELD_NUMBER: _ClassVar[int]
    capability: str
    version: str
    labels: _containers.ScalarMap[str, str]
    durability: Durability
    priority: int
    max_attempts: int
    limits: Limits
    deadline_s: float
    shards: int
    secrets: _containers.ScalarMap[str, str]
    sensitive: bool
    prefers: _containers.RepeatedCompositeFieldContainer[Label]
    allowance_uusd: int
    def __init__(self, capability: _Optional[str] = ..., version: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., durability: _Optional[_Union[Durability, str]] = ..., priority: _Optional[int] = ..., max_attempts: _Optional[int] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., deadline_s: _Optional[float] = ..., shards: _Optional[int] = ..., secrets: _Optional[_Mapping[str, str]] = ..., sensitive: bool = ..., prefers: _Optional[_Iterable[_Union[Label, _Mapping]]] = ..., allowance_uusd: _Optional[int] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("args", "inputs")
    ARGS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    args: bytes
    inputs: _containers.RepeatedCompositeFieldContainer[Input]
    def __init__(self, args: _Optional[bytes] = ..., inputs: _Optional[_Iterable[_Union[Input, _Mapping]]] = ...) -> None: ...

class Group(_message.Message):
    __slots__ = ("demand", "calls", "blobs")
    DEMAND_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    demand: Demand
    calls: _containers.RepeatedCompositeFieldContainer[Call]
    blobs: _containers.RepeatedCompositeFieldContainer[BlobRef]
    def __init__(self, demand: _Optional[_Union[Demand, _Mapping]] = ..., calls: _Optional[_Iterable[_Union[Call, _Mapping]]] = ..., blobs: _Optional[_Iterable[_Union[BlobRef, _Mapping]]] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "fix", "retryable", "traceback", "retry_after_s")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIX_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    fix: str
    retryable: bool
    traceback: str
    retry_after_s: float
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., fix: _Optional[str] = ..., retryable: bool = ..., traceback: _Optional[str] = ..., retry_after_s: _Optional[float] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("model", "input_tokens", "output_tokens", "spent_uusd", "cache")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SPENT_UUSD_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    model: str
    input_tokens: int
    output_tokens: int
    spent_uusd: int
    cache: str
    def __init__(self, model: _Optional[str] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., spent_uusd: _Optional[int] = ..., cache: _Optional[str] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("no", "attempt", "status", "value", "error", "node", "started_at", "elapsed_us", "usage")
    NO_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_US_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    no: int
    attempt: int
    status: Status
    value: Value
    error: Error
    node: str
    started_at: float
    elapsed_us: int
    usage: Usage
    def __init__(self, no: _Optional[int] = ..., attempt: _Optional[int] = ..., status: _Optional[_Union[Status, str]] = ..., value: _Optional[_Union[Value, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., node: _Optional[str] = ..., started_at: _Optional[float] = ..., elapsed_us: _Optional[int] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ...) -> None: ...
