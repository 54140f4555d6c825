"""A blob of each coder and kind that have a compact frame, or a frame alone."""

from golden_tables.parts import BASE64, LEARNED, OCTETS, SIGNED, as_json

from nbmf.coders import CountsAloneCoder, CountsCoder, NeuralAloneCoder, NeuralCoder, SegmentsCoder, WindowsCoder

# By the codec's first version and what needs none (COMPACT_BY_THE_PAGE), else by ATTENTION_WITH_COUNTS: a blob of each
# coder and kind that have a compact frame. Older ones are in full or short frames.
_SHORT = {
    "text": LEARNED["text"],
    "messages": LEARNED["messages"],
    "json": LEARNED["json"],
    "bytes": {"hex": b"\x83\xa2id\x07\xa4name\xa3Ada\xa4note\xd9 Anna prefers the window seat, ".hex()},
}
_WITH_SPANS = {
    "text": as_json(f"a key {BASE64}."),
    "messages": as_json(SIGNED),
    "json": as_json([OCTETS.hex(), BASE64]),
}
COMPACT_BY_THE_PAGE = {
    f"compact_{coder}_{kind}": (expected, coder, "lossless", inner)
    for coder, inner, of_kinds in (
        ("zstd", None, _SHORT),
        ("zstd_dictionary", None, _SHORT),
        ("spans", "zstd", _WITH_SPANS),
        ("spans_learned", "zstd_dictionary", _WITH_SPANS),
    )
    for kind, expected in of_kinds.items()
}
COMPACT_LEARNED = {
    f"compact_{coder.name}_{kind}": (expected, coder)
    for coder in (NeuralCoder, CountsCoder, SegmentsCoder, WindowsCoder)
    for kind, expected in _SHORT.items()
}


def _alone(prefix):
    return {
        f"{prefix}_{coder.name}_{kind}": (expected, coder)
        for coder in (NeuralAloneCoder, CountsAloneCoder)
        for kind, expected in _SHORT.items()
    }


# by ATTENTION_WITH_COUNTS, by HYBRID_WITH_COUNTS, by COUNTS_VERSION, which has a number, by PRIMED
ALONE, ALONE_HYBRID, NUMBERED = _alone("alone"), _alone("alone_hybrid"), _alone("numbered")
ALONE_PRIMED = _alone("alone_primed")
