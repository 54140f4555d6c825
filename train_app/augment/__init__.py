"""Altered copies of records to learn from: each change a pure function of a record and a seed, by name.

`copies.py` makes them of samples; a file a change says what it does and where it does not apply.
"""
