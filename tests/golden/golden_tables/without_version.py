"""By the codec's first version and what needs none, in full or short frames."""

import json

import ml_dtypes
import numpy as np
import torch
from golden_tables.parts import F2, F4, F8, NOISE, NUMBERS, RECORD, SENTENCES, SMOOTH, STATE, as_array, as_json, as_wire

# name -> (payload, coder, fidelity)
BLOBS = {
    "stored_b2_text": (as_json("Remember the milk, 東京, \ud800 alone."), "stored", "lossless"),
    "stored_b2_text_empty": (as_json(""), "stored", "lossless"),
    "stored_b3_messages": (as_json(RECORD), "stored", "lossless"),
    "stored_b4_json": (as_json(STATE), "stored", "lossless"),
    "stored_b4_json_null": (as_json(None), "stored", "lossless"),
    "stored_b4_json_floats": (
        as_json([0.0, -0.0, float("nan"), float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308, 1e16, 0.1]),
        "stored",
        "lossless",
    ),
    "stored_b4_json_strings": (
        as_json({"": [], "\x00\x1f\x7f": '"\\/\b\f\n\r\t', "\u2028": "\udfff\ud800", "é": {"\U0010ffff": ""}}),
        "stored",
        "lossless",
    ),
    "stored_b5_bytes": ({"hex": NOISE.hex()}, "stored", "lossless"),
    "stored_b5_bytes_empty": ({"hex": ""}, "stored", "lossless"),
    "stored_b6_matrix": (as_array(F4.reshape(2, 3)), "stored", "lossless"),
    "stored_b6_no_rows": (as_array(np.zeros((0, 300), "<f2")), "stored", "lossless"),
    "stored_b7_float16": (as_array(F2), "stored", "lossless"),
    "stored_b8_float32": (as_array(F4), "stored", "lossless"),
    "stored_b9_float64": (as_array(F8), "stored", "lossless"),
    "zstd_text": (as_json(SENTENCES), "zstd", "lossless"),
    "zstd_text_semantic_flag": (as_json(SENTENCES), "zstd", "semantic"),
    "zstd_text_two_blocks": ({"repeat": {"text": "All work and no play. ", "times": 9_000}}, "zstd", "lossless"),
    "zstd_messages": (as_json(RECORD), "zstd", "lossless"),
    "zstd_json": (as_json(STATE), "zstd", "lossless"),
    "zstd_json_deep": ({"nested": {"levels": 5_000, "shape": "mixed"}}, "zstd", "lossless"),
    "zstd_json_long_integer": (
        {"power_sum": {"sign": -1, "base": 10, "exponent": 5_000, "plus": 7}},
        "zstd",
        "lossless",
    ),
    "zstd_bytes": ({"hex": (NOISE * 4).hex()}, "zstd", "lossless"),
    "zstd_array": (as_array(np.zeros((4, 8), "<f8")), "zstd", "lossless"),
    "zstd_dictionary_text": (as_json(SENTENCES), "zstd_dictionary", "lossless"),
    "zstd_dictionary_messages": (as_json(RECORD), "zstd_dictionary", "lossless"),
    "zstd_dictionary_json": (as_json(STATE), "zstd_dictionary", "lossless"),
    "zstd_dictionary_bytes": ({"hex": json.dumps(RECORD).encode().hex()}, "zstd_dictionary", "lossless"),
    "zstd_dictionary_array": (as_array(np.ones(16, "<f4")), "zstd_dictionary", "lossless"),
    "byte_planes_float16": (as_array(SMOOTH.astype("<f2")), "byte_planes", "lossless"),
    "byte_planes_float32": (as_array(SMOOTH.astype("<f4")), "byte_planes", "lossless"),
    "byte_planes_float64": (as_array(SMOOTH), "byte_planes", "lossless"),
    "byte_planes_matrix": (as_array(SMOOTH.astype("<f4").reshape(4, 16)), "byte_planes", "lossless"),
    "stored_b4_json_numbers": ({"json_text": NUMBERS}, "stored", "lossless"),
    "zstd_json_numbers": ({"json_text": f"[{NUMBERS},{NUMBERS},{NUMBERS}]"}, "zstd", "lossless"),
    "stored_b6_big_endian": (as_wire(SMOOTH.astype(">f4")), "stored", "lossless"),
    "stored_b6_no_dimensions": (as_wire(np.array(7, "<u2")), "stored", "lossless"),
    "stored_b6_bool": (as_wire(np.array([[True, False], [False, True]])), "stored", "lossless"),
    "stored_b6_bfloat16": (as_wire(F4.astype(ml_dtypes.bfloat16)), "stored", "lossless"),
    "stored_b6_tensor": (as_wire(torch.arange(6, dtype=torch.int16).reshape(2, 3)), "stored", "lossless"),
    "byte_planes_big_endian": (as_wire((SMOOTH * 1e6).astype(">i8")), "byte_planes", "lossless"),
    "byte_planes_tensor_bfloat16": (as_wire(torch.arange(64).to(torch.bfloat16)), "byte_planes", "lossless"),
}

SHORT_DEFLATE_BLOBS = {
    "deflate_text": (as_json(SENTENCES), "deflate", "lossless", None),
    "deflate_messages": (as_json(RECORD), "deflate", "lossless", None),
    "deflate_json": (as_json(STATE), "deflate", "lossless", None),
    "deflate_bytes": ({"hex": (NOISE * 4).hex()}, "deflate", "lossless", None),
}
