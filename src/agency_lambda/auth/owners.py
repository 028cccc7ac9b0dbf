import hashlib
from base64 import urlsafe_b64encode

from agency_lambda.validators import HASHED, OWNER


def owner_name(name: str) -> str:
    """Return the name if it is an owner's, else its SHA-256."""
    if OWNER.fullmatch(name) and not name.startswith(HASHED):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).digest()
    return HASHED + urlsafe_b64encode(digest).decode().rstrip("=")
