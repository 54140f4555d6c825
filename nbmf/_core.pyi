"""The compiled core (nbmf/_core/): networks of integers, counts, adaptation, range coder; the same bits everywhere.

Arrays are C-contiguous buffers of the types that are named. What comes from a version's files is checked when a
Network, Counts or Model is made: ValueError. Coding releases the GIL; a Model may be used by several threads.
"""

from array import array
from typing import Any, TypeAlias, final

from numpy.typing import NDArray

Array: TypeAlias = bytes | memoryview | array[Any] | NDArray[Any]
_Stream: TypeAlias = tuple[bytes, int, int, int] | tuple[bytes, int, int, int, Array | None]

AT_ONCE: int
ORDERS: int
EXPERTS: int
MATCH_LENGTHS: int
CONFIDENCES: int
COPY_BUCKETS: int
GATES: int
COPY_GATES: int
CONTEXTS: int
STEPS: int
SCALE: int
SIZE_TOLD: int
SIZE_IN_STREAM: int
SIZE_AT_END: int
EXTRA_TOKENS: int
TAPS: int
INT8_LIMIT: int
RESIDUAL_LIMIT: int
FREQUENCY_PEAK: int
ATTENTION_PEAK: int

def paths() -> list[str]:
    """Kinds of processor that this one can run code for, best first."""

def stream_size(stream: Array, sizing: int) -> tuple[int, int]:
    """The least and the most bytes of the record of a stream that tells its size itself; nothing is decoded."""

def cpu() -> str:
    """What networks made now run on: the best, or what the environment variable NBMF_CPU names."""

def use(name: str | None) -> str:
    """What networks made from now on run on; None: the best. Raises ValueError for one that is not in paths()."""

def products(
    matrix: Array,
    rows: int,
    columns: int,
    x: Array,
    vectors: int,
    out: Array,
    sparse: bool = False,
    keys: bool = False,
) -> None:
    """int8 [rows, columns] times int8 [vectors, columns], into int32 [vectors, rows filled up to a multiple of 64].

    `sparse`: by the columns alone where a vector is not zero; no number of it may be negative. `keys`: as queries are
    multiplied with keys, which are not known when the version is loaded; rows are a multiple of 64, columns of 4.

    Raises ValueError for sizes out of range, arrays of other sizes or types, and a negative number where `sparse`.
    """

def range_encode(intervals: Array) -> bytes:
    """The stream of int64 [N, 3] (sum before, frequency, total)."""

def range_decode(stream: Array, intervals: Array, targets: Array) -> None:
    """Where a stream points within each total, if the symbols had these intervals; into int64 [N]."""

def find_repeats(data: Array, least: int) -> bytes:
    """Stretches of at least `least` bytes (32 or more) that have stood before: uint32 [repeats, 3], bytes kept before
    each, its length, how far back it stood. In linear time; releases the GIL."""

@final
class Tokenizer:
    """A vocabulary: byte-level BPE of one pattern (nbmf/neural/tokenizer.py)."""

    vocab_size: int

    def __init__(self, token_bytes: Array, token_begin_V: Array, pair_R2: Array, merged_R: Array) -> None:
        """The bytes of all tokens, where those of each begin, and by rank which two tokens become which one. Raises
        ValueError unless every byte has a token, and every merge's bytes are those of its two."""
    def encode(self, data: Array) -> bytes:
        """Tokens, int32, whose bytes are `data`. Releases the GIL."""
    def decode(self, tokens: Array) -> bytes:
        """Their bytes. Raises ValueError for what is no token."""
    def n_bytes(self, tokens: Array) -> int:
        """How many bytes they stand for. Raises ValueError for what is no token."""

@final
class Network:
    """A network's weights in the order in which the core reads them; a dictionary of arrays for each layer."""

    def __init__(self, sizes: dict[str, int], arrays: dict[str, Any], layers: list[dict[str, Any]]) -> None: ...

@final
class Counts:
    """Static counts, from the arrays of their file (nbmf/neural/counts_file.py): they are not copied, and the steps are
    made tokens in place."""

    vocab_size: int
    n_clusters: int
    cluster_size: int

    def __init__(self, arrays: dict[str, Any], vocab_size: int, n_clusters: int = 0, cluster_size: int = 0) -> None: ...

@final
class Decoder:
    """Decodes records side by side with a network that runs elsewhere."""

    def going_on(self) -> list[tuple[int, int]]:
        """(record, its last token or type id) of those that have not ended."""

    def step(self, distances: Array) -> None:
        """Of each that goes on its next token or cluster, from the network's distances int32 [records, symbols]."""

    def clusters(self) -> list[tuple[int, int]]:
        """(record, cluster) of those whose next token is of a cluster."""

    def step_members(self, distances: Array) -> None:
        """That token of each, from the network's frequencies int32 [records of clusters(), cluster size]."""

    def results(self) -> list[bytes | None]:
        """Of every record, empty ones too; None for one that its stream can't be."""

@final
class Model:
    """A version's learned parts, ready to code. Raises ValueError where they do not fit together."""

    cpu: str

    def __init__(
        self,
        network: Network | None,
        counts: Counts | None,
        constants: Array,
        token_bytes: Array,
        token_begin_V: Array,
        n_clusters: int = 0,
        cluster_size: int = 0,
        primer: list[tuple[Array, int]] = ...,
    ) -> None:
        """`primer`: tokens and type ids of records that each record is coded behind, 16,383 tokens and records
        together."""
    def encode(self, tokens: Array, type_id: int, sizing: int = ..., before: Array | None = ...) -> bytes:
        """The stream of a record's tokens, int32. Raises ValueError for one that `sizing` is not for: SIZE_TOLD the
        size stands elsewhere, SIZE_IN_STREAM in the stream (1 to 2^20 - 1 bytes), SIZE_AT_END where the record ends,
        which is a JSON object, array or string without white space, of as many bytes.

        `before`: tokens, int32, that are learnt from as if the record began with them; not with a network."""

    def encode_predicted(self, tokens: Array, type_id: int, symbols: Array, members: Array, sizing: int = ...) -> bytes:
        """The same from the network's distances: int32 [tokens, symbols], [tokens, cluster size]."""

    def decode(self, streams: list[_Stream], side_by_side: int, as_tokens: bool = ...) -> list[bytes | None]:
        """The records of (stream, most bytes of the record, type id, sizing, and what `encode` calls `before`); None
        for one that its stream can't be. As tokens: int32 in place of the bytes that they spell."""

    def decode_together(
        self, streams: list[_Stream], side_by_side: int, lanes: int, as_tokens: bool = ...
    ) -> list[bytes | None]:
        """The same, with the records that other threads decode so: up to `side_by_side` in each of `lanes` loops, of
        which this call joins the one with the fewest. A record that ends leaves its place to the next that waits, and
        a call returns when its own are done. Raises ValueError."""

    def decoder(self, streams: list[_Stream]) -> Decoder: ...
    def distances(self, inputs: Array, targets: Array, at_once: int, symbols: Array, members: Array) -> None:
        """The network's after each input, a type id first: into int32 [inputs, symbols] and, for each target's cluster,
        [inputs, cluster size], zeros where it is of none; members is empty where there are no clusters."""

    def predictions(
        self, inputs: Array, frequencies: Array | None, base: Array, confidence: Array, contexts: Array
    ) -> None:
        """What is expected after each input before the record's own counts: int32 [inputs, symbols], the highest
        probability (float64), the static counts' contexts (int64 [inputs, CONTEXTS])."""

    def repeat_phase(self, inputs: Array, phase: int, at_once: int, times: int) -> None:
        """Takes in the inputs and then does a part of the network again and again, for all layers: 0 attention, 1
        attention or convolution with its products, 2 feed-forward, 3 norms, 4 embeddings, 5 head, 6 the tokens of a
        cluster, 7 the whole, over the inputs again. Raises ValueError for fewer inputs than `at_once`."""

    def tokens_to_copy(self, tokens: Array, out: Array) -> None:
        """The token that the copy expert expects in place of each, or -1, into int64."""

    def record_bits(
        self,
        tokens: Array,
        network: Array,
        copied: Array,
        confidence: Array,
        gates: Array,
        copy_gates: Array,
        copies: Array,
    ) -> float:
        """Bits by the mixture, of what was predicted [tokens, STEPS]; adds to the gates' gradients [STEPS, gates,
        EXPERTS] and to hits and trials of copies."""

    def counts_shares(
        self,
        type_id: int,
        tokens: Array,
        expected: Array,
        token: Array,
        copied: Array,
        sure: Array,
        order: Array,
    ) -> None:
        """What static counts gave each token, the expected one and the likeliest, and how long the context was, into
        [tokens, STEPS]: of the symbol, and of the token in its cluster."""

@final
class VectorSpace:
    """How vectors of `dims` numbers (8 to 65,536) are transformed and coded: by a rotation, or by the arrays of a
    fitted transform (nbmf.vectors.fitting.Transform). Raises ValueError."""

    def __init__(self, dims: int, arrays: dict[str, Any] | None = None) -> None: ...
    def encode(
        self,
        vectors: Array,
        number_type: int,
        flags: int,
        step: int,
        rate_weight: float,
        least_cosine: float,
        unit_bits: int,
        decoded: Any,
        cosines: Any,
        plain: bool,
        /,
    ) -> list[bytes | None]:
        """Bodies of as many vectors as there are `cosines` (float64 [V]), whose numbers are in `vectors` one after the
        other; what they decode to goes into `decoded`. None of a vector that does not reach the cosine: 1 is given."""

    def decode(self, bodies: list[bytes], number_type: int, decoded: Any, plain: bool, /) -> list[bool]:
        """Which bodies are good; their numbers go into `decoded`."""

def encode_floats(
    numbers: Array, item_bytes: int, exponent_bits: int, predictor: int, /
) -> tuple[int, int, bytes] | None:
    """(low bits that are zero in all, largest exponent, stream) of little-endian floats, each alone (predictor 0) or by
    how far it is from the one before (1) or from where the two before lead (2); as decimals (3; None of others) the
    digits and the bits of the largest integer."""

def decode_floats(
    stream: Array, item_bytes: int, exponent_bits: int, predictor: int, dropped: int, largest: int, numbers: Any, /
) -> None:
    """As many numbers as there are, into the last. Raises ValueError for what `encode_floats` does not give."""
