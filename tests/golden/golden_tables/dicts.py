"""Dict blobs, of the stub and of nbmf.compat."""

from golden_tables.parts import RECORD, as_json
from golden_tables.spans import WIDENED
from old_stores import dict_blob_1

import nbmf
from nbmf import compat, stub

_SEMANTIC = nbmf.Codec().encode(WIDENED, "semantic")

# name -> (what decoding gives, the dict blob)
DICT_BLOBS = {
    "stub_lossless": (as_json(RECORD), stub.encode(RECORD, "lossless")),
    "stub_semantic_text": (as_json("a preview of it"), stub.encode(" a preview \n of  it ")),
    "stub_semantic_json": (as_json('{"a": [1], "b": "é"}'), stub.encode({"b": "é", "a": [1]})),
    "compat_nbmf_1": (as_json(RECORD), dict_blob_1(nbmf.encode(RECORD), RECORD)),
    "compat_nbmf_2": (as_json(RECORD), compat.wrap(nbmf.encode(RECORD))),
    "compat_nbmf_2_text": (as_json("é"), compat.wrap(nbmf.encode("é"))),
    "compat_nbmf_2_semantic": (as_json(nbmf.decode(_SEMANTIC)), compat.wrap(_SEMANTIC)),
}
