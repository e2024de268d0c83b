from nova_proto.v1 import task_pb2 as _task_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PutRequest(_message.Message):
    __slots__ = ("data", "encoding", "sensitive")
    DATA_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    encoding: _task_pb2.Encoding
    sensitive: bool
    def __init__(self, data: _Optional[bytes] = ..., encoding: _Optional[_Union[_task_pb2.Encoding, str]] = ..., sensitive: bool = ...) -> None: ...

class GetBlobRequest(_message.Message):
    __slots__ = ("id", "offset", "size_bytes")
    ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    id: str
    offset: int
    size_bytes: int
    def __init__(self, id: _Optional[str] = ..., offset: _Optional[int] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class GetBlobReply(_message.Message):
    __slots__ = ("digests", "size_bytes", "chunk", "data", "sensitive")
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_FIELD_NUMBER: _ClassVar[int]
    digests: bytes
    size_bytes: int
    chunk: int
    data: bytes
    sensitive: bool
    def __init__(self, digests: _Optional[bytes] = ..., size_bytes: _Optional[int] = ..., chunk: _Optional[int] = ..., data: _Optional[bytes] = ..., sensitive: bool = ...) -> None: ...
