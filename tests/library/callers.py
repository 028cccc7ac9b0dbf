"""Callers with a key each, of whom Eve is an operator."""

import hashlib

OWNERS = ("ann", "bob", "eve")


def bearer(owner: str) -> dict[str, str]:
    return {"authorization": f"Bearer al_{owner}"}


def api_keys() -> str:
    digests = {owner: hashlib.sha256(f"al_{owner}".encode()).hexdigest() for owner in OWNERS}
    return ",".join(f"{owner}:{digest}{':operator' if owner == 'eve' else ''}" for owner, digest in digests.items())
