"""By versions that have learnt something, or whose network has not."""

import json

from golden_tables.parts import LEARNED, RECORD

from nbmf.coders import CountsCoder, NeuralCoder, WindowsCoder

ATTENTION, ATTENTION_WITH_COUNTS = "golden-attention", "golden-attention-counts"
HYBRID_WITH_COUNTS = "golden-hybrid-counts"  # both kinds of layers, softmax in two steps
CNN_WITH_COUNTS = "golden-cnn-counts"  # convolutions alone
PRIMED = "golden-hybrid-primed"  # as HYBRID_WITH_COUNTS, every record behind PRIMER


def _with_counts(prefix):
    return {
        f"{prefix}_{coder.name}_{name}": (expected, coder)
        for coder in (NeuralCoder, CountsCoder)
        for name, expected in LEARNED.items()
        if coder is CountsCoder or name != "json_long"  # which is too long for that network
    }


# version -> name -> (what decoding gives, coder); by small versions with a network that has learnt nothing: attention
# alone, and beside static counts the same, both kinds of layers, and convolutions alone
SMALL_BLOBS = {
    ATTENTION: {f"attention_{name}": (expected, NeuralCoder) for name, expected in LEARNED.items()},
    ATTENTION_WITH_COUNTS: _with_counts("attention"),
    HYBRID_WITH_COUNTS: _with_counts("hybrid"),
    CNN_WITH_COUNTS: _with_counts("cnn"),
    PRIMED: _with_counts("primed"),
}

PRIMER = (
    ("conversation", b'[{"role":"user","content":"Is the lease signed?"}]'),
    ("structured", json.dumps(RECORD).encode()),
    ("text", "会議は九時; bring the lease and two keys.".encode()),
    ("structured", b'{"lease":{"signed":true,"keys":2},"note":null}'),
)

# name -> (what decoding gives, coder); by the first built-in version that has static counts
COUNTS_VERSION = "5ab1176a1ebd3e4556571b8264d04a3581e51b418cfb75660c0aad66e6b2dc13"
COUNTS_BLOBS = {
    "counts_text": (LEARNED["text"], CountsCoder),
    "counts_text_foreign": (LEARNED["text_foreign"], CountsCoder),
    "counts_messages": (LEARNED["messages"], CountsCoder),
    "counts_json": (LEARNED["json"], CountsCoder),
    "counts_json_long": (LEARNED["json_long"], CountsCoder),
    "neural_counts_text": (LEARNED["text"], NeuralCoder),
    "neural_counts_text_foreign": (LEARNED["text_foreign"], NeuralCoder),
    "neural_counts_messages": (LEARNED["messages"], NeuralCoder),
    "neural_counts_json": (LEARNED["json"], NeuralCoder),
    "neural_counts_json_long": (LEARNED["json_long"], NeuralCoder),
}

# name -> (what decoding gives, segments); by the network of COUNTS_VERSION
SEGMENTS_BLOBS = {
    "segments_two": (LEARNED["text"], 2),
    "segments_foreign": (LEARNED["text_foreign"], 3),
    "segments_four": (LEARNED["json_long"], 4),
}

# What a history of states holds again and again, and bytes that are mostly text.
_HISTORY = {"history": {"messages": LEARNED["json_long"]["json"]}}
_PACKED = {"hex": (b"\x87\xa1v\x04\xa2ts\xd9 2026-11-25T23:27:37\xa2id\xd9$" + json.dumps(RECORD).encode()).hex()}

# name -> (what decoding gives, coder, latency budget in ms); by COUNTS_VERSION
LARGE_BLOBS = {
    "windows_history": (_HISTORY, WindowsCoder, None),
    "windows_network": (_HISTORY, WindowsCoder, 100),
    "windows_counts_and_zstd": (_HISTORY, WindowsCoder, 1),
    "neural_bytes": (_PACKED, NeuralCoder, None),
    "counts_bytes": (_PACKED, CountsCoder, None),
}

# name -> (what decoding gives, version): by the network, then by counts that go on behind that, and behind themselves
GOING_ON_BLOBS = {
    "going_on_text": (LEARNED["text"], COUNTS_VERSION),
    "going_on_foreign": (LEARNED["text_foreign"], COUNTS_VERSION),
    "going_on_messages": (LEARNED["messages"], ATTENTION_WITH_COUNTS),
    "going_on_json": (LEARNED["json_long"], HYBRID_WITH_COUNTS),
    "going_on_history": (_HISTORY, CNN_WITH_COUNTS),
}
