"""Records with spans cut out of them."""

import base64
import json

import numpy as np
from golden_tables.parts import (
    BASE64,
    DOUBLES,
    LINES,
    OCTETS,
    PROSE,
    RECORD,
    SENTENCES,
    SHORTEST,
    SIGNED,
    SINGLES,
    as_json,
)

from nbmf.coders import CountsCoder, NeuralCoder, SegmentsCoder

# name -> (payload, coder, fidelity, coder of what remains)
SPANS_BLOBS = {
    "spans_text": (as_json(f"padded {BASE64}AA== and not {BASE64}."), "spans", "lossless", "stored"),
    "spans_messages": (as_json(SIGNED), "spans", "lossless", "zstd"),
    "spans_messages_semantic_flag": (as_json(SIGNED), "spans", "semantic", "deflate"),
    "spans_url_safe": (
        as_json({"a": base64.urlsafe_b64encode(OCTETS + b"?").decode(), "b": BASE64.translate({43: 45, 47: 95})}),
        "spans",
        "lossless",
        "deflate",
    ),
    "spans_lines": (as_json("\n".join(LINES) + "\n" + "\r\n".join(LINES)), "spans", "lossless", "zstd"),
    "spans_lines_escaped": (as_json(["\n".join(LINES), "\r\n".join(LINES)]), "spans", "lossless", "stored"),
    "spans_in_place": (as_json({"content": PROSE, "more": [PROSE, BASE64]}), "spans", "lossless", "deflate"),
    "spans_hexadecimal": (as_json([OCTETS.hex(), OCTETS.hex().upper()]), "spans", "lossless", "stored"),
    "spans_binary32": (as_json({"embedding": DOUBLES}), "spans", "lossless", "deflate"),
    "spans_short_binary32": (as_json({"a": SHORTEST, "b": DOUBLES}), "spans", "lossless", "zstd"),
    "spans_binary64": (as_json({"embedding": SINGLES}), "spans", "lossless", "stored"),
    "spans_decimals": (as_json([round(x, 4) for x in SINGLES] + [-0.0, 1e-05]), "spans", "lossless", "stored"),
    "spans_of_all_sorts": (
        as_json(f"{SINGLES} {json.dumps(DOUBLES, indent=1)} {BASE64} {[round(x, 2) for x in SINGLES]} {PROSE}"),
        "spans",
        "lossless",
        "deflate",
    ),
    "spans_learned_messages": (as_json([*RECORD, *SIGNED]), "spans_learned", "lossless", "zstd_dictionary"),
    "spans_learned_text": (as_json(f"{SENTENCES} {SINGLES}"), "spans_learned", "lossless", "zstd_dictionary"),
}

# name -> (what decoding gives, coder of what remains)
SPANS_LEARNED_BLOBS = {
    "spans_learned_neural": (as_json(SIGNED), NeuralCoder),
    "spans_learned_counts": (as_json({"content": PROSE, "embedding": DOUBLES}), CountsCoder),
    "spans_learned_segments": (as_json([*RECORD, *SIGNED]), SegmentsCoder),
}

_EMBEDDING = (np.random.default_rng(11).normal(size=96) / 40).tolist()
_EMBEDDING_32 = np.array(_EMBEDDING, dtype=np.float32)
WIDENED, _SHORT_DIGITS = _EMBEDDING_32.tolist(), [float(str(x)) for x in _EMBEDDING_32]

# name -> (value, fidelity)
SPANS_STREAMS = {
    "spans_floats_binary32": ({"id": 7, "embedding": WIDENED}, "lossless"),
    "spans_floats_short_binary32": ([_SHORT_DIGITS, _SHORT_DIGITS[:30]], "lossless"),
    "spans_floats_binary64": ({"a": _EMBEDDING, "b": [0.5, *DOUBLES[:9]]}, "lossless"),
    "spans_floats_decimals": ([round(x, 6) for x in _EMBEDDING], "lossless"),
    "spans_vectors_binary32": ({"id": 7, "embedding": WIDENED}, "semantic"),
    "spans_vectors_short_binary32": ({"a": _SHORT_DIGITS, "b": _EMBEDDING, "c": DOUBLES[:9]}, "semantic"),
}
