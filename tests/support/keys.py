"""API keys as a configuration has them."""

import hashlib


def entry(name, key, *roles):
    return {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest(), "roles": list(roles)}
