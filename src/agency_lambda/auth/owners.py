"""Names of owners, made of the names that others give."""

import hashlib
from base64 import urlsafe_b64encode

from agency_lambda.validators import OWNER

_HASHED = "sha256-"


def owner_name(name: str) -> str:
    """The name itself if an owner can have it, else its SHA-256. No two names become the same owner."""
    if OWNER.fullmatch(name) and not name.startswith(_HASHED):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).digest()
    return _HASHED + urlsafe_b64encode(digest).decode().rstrip("=")
