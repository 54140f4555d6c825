from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Fidelity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIDELITY_UNSPECIFIED: _ClassVar[Fidelity]
    FIDELITY_LOSSLESS: _ClassVar[Fidelity]
    FIDELITY_SEMANTIC: _ClassVar[Fidelity]

class Effort(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EFFORT_UNSPECIFIED: _ClassVar[Effort]
    EFFORT_AUTO: _ClassVar[Effort]
    EFFORT_FAST: _ClassVar[Effort]
    EFFORT_MAX: _ClassVar[Effort]
FIDELITY_UNSPECIFIED: Fidelity
FIDELITY_LOSSLESS: Fidelity
FIDELITY_SEMANTIC: Fidelity
EFFORT_UNSPECIFIED: Effort
EFFORT_AUTO: Effort
EFFORT_FAST: Effort
EFFORT_MAX: Effort

class Payload(_message.Message):
    __slots__ = ("text", "json", "binary", "array")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    BINARY_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    text: bytes
    json: bytes
    binary: bytes
    array: Array
    def __init__(self, text: _Optional[bytes] = ..., json: _Optional[bytes] = ..., binary: _Optional[bytes] = ..., array: _Optional[_Union[Array, _Mapping]] = ...) -> None: ...

class Array(_message.Message):
    __slots__ = ("dtype", "shape", "data", "big_endian", "tensor")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    BIG_ENDIAN_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    big_endian: bool
    tensor: bool
    def __init__(self, dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ..., big_endian: _Optional[bool] = ..., tensor: _Optional[bool] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("payload", "fidelity", "key")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    FIDELITY_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    payload: Payload
    fidelity: Fidelity
    key: str
    def __init__(self, payload: _Optional[_Union[Payload, _Mapping]] = ..., fidelity: _Optional[_Union[Fidelity, str]] = ..., key: _Optional[str] = ...) -> None: ...

class EncodeOptions(_message.Message):
    __slots__ = ("effort", "latency_budget_ms")
    EFFORT_FIELD_NUMBER: _ClassVar[int]
    LATENCY_BUDGET_MS_FIELD_NUMBER: _ClassVar[int]
    effort: Effort
    latency_budget_ms: float
    def __init__(self, effort: _Optional[_Union[Effort, str]] = ..., latency_budget_ms: _Optional[float] = ...) -> None: ...

class EncodeRequest(_message.Message):
    __slots__ = ("record", "options")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    record: Record
    options: EncodeOptions
    def __init__(self, record: _Optional[_Union[Record, _Mapping]] = ..., options: _Optional[_Union[EncodeOptions, _Mapping]] = ...) -> None: ...

class EncodeBatchRequest(_message.Message):
    __slots__ = ("records", "options")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[Record]
    options: EncodeOptions
    def __init__(self, records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ..., options: _Optional[_Union[EncodeOptions, _Mapping]] = ...) -> None: ...

class Encoded(_message.Message):
    __slots__ = ("blob", "kind", "coder", "codec", "payload_bytes", "similarity")
    BLOB_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CODER_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    blob: bytes
    kind: str
    coder: str
    codec: str
    payload_bytes: int
    similarity: Similarity
    def __init__(self, blob: _Optional[bytes] = ..., kind: _Optional[str] = ..., coder: _Optional[str] = ..., codec: _Optional[str] = ..., payload_bytes: _Optional[int] = ..., similarity: _Optional[_Union[Similarity, _Mapping]] = ...) -> None: ...

class Similarity(_message.Message):
    __slots__ = ("vectors", "cosine_mean", "cosine_min")
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    COSINE_MEAN_FIELD_NUMBER: _ClassVar[int]
    COSINE_MIN_FIELD_NUMBER: _ClassVar[int]
    vectors: int
    cosine_mean: float
    cosine_min: float
    def __init__(self, vectors: _Optional[int] = ..., cosine_mean: _Optional[float] = ..., cosine_min: _Optional[float] = ...) -> None: ...

class EncodeBatchResponse(_message.Message):
    __slots__ = ("results",)
    class Result(_message.Message):
        __slots__ = ("encoded", "failure")
        ENCODED_FIELD_NUMBER: _ClassVar[int]
        FAILURE_FIELD_NUMBER: _ClassVar[int]
        encoded: Encoded
        failure: Failure
        def __init__(self, encoded: _Optional[_Union[Encoded, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[EncodeBatchResponse.Result]
    def __init__(self, results: _Optional[_Iterable[_Union[EncodeBatchResponse.Result, _Mapping]]] = ...) -> None: ...

class DecodeRequest(_message.Message):
    __slots__ = ("blob",)
    BLOB_FIELD_NUMBER: _ClassVar[int]
    blob: bytes
    def __init__(self, blob: _Optional[bytes] = ...) -> None: ...

class DecodeBatchRequest(_message.Message):
    __slots__ = ("blobs",)
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    blobs: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, blobs: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Decoded(_message.Message):
    __slots__ = ("payload", "kind", "dict_blob")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DICT_BLOB_FIELD_NUMBER: _ClassVar[int]
    payload: Payload
    kind: str
    dict_blob: str
    def __init__(self, payload: _Optional[_Union[Payload, _Mapping]] = ..., kind: _Optional[str] = ..., dict_blob: _Optional[str] = ...) -> None: ...

class DecodeBatchResponse(_message.Message):
    __slots__ = ("results",)
    class Result(_message.Message):
        __slots__ = ("decoded", "failure")
        DECODED_FIELD_NUMBER: _ClassVar[int]
        FAILURE_FIELD_NUMBER: _ClassVar[int]
        decoded: Decoded
        failure: Failure
        def __init__(self, decoded: _Optional[_Union[Decoded, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[DecodeBatchResponse.Result]
    def __init__(self, results: _Optional[_Iterable[_Union[DecodeBatchResponse.Result, _Mapping]]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class VersionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Version(_message.Message):
    __slots__ = ("id", "channels", "name", "created_at", "architecture", "measured", "error", "share_percent")
    ID_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SHARE_PERCENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    channels: _containers.RepeatedScalarFieldContainer[str]
    name: str
    created_at: str
    architecture: str
    measured: _struct_pb2.Struct
    error: Failure
    share_percent: float
    def __init__(self, id: _Optional[str] = ..., channels: _Optional[_Iterable[str]] = ..., name: _Optional[str] = ..., created_at: _Optional[str] = ..., architecture: _Optional[str] = ..., measured: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., error: _Optional[_Union[Failure, _Mapping]] = ..., share_percent: _Optional[float] = ...) -> None: ...

class VersionsResponse(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[Version]
    def __init__(self, versions: _Optional[_Iterable[_Union[Version, _Mapping]]] = ...) -> None: ...
