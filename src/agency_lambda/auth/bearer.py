"""The header `Authorization: Bearer ...`."""

from starlette.types import Scope


def bearer_credentials(scope: Scope) -> bytes:
    """What was sent. Two headers are joined, as API Gateway does, and are nothing that anybody has."""
    sent = b",".join(value for name, value in scope["headers"] if name == b"authorization")
    scheme, _, credentials = sent.strip().partition(b" ")
    return bytes(credentials.strip()) if scheme.lower() == b"bearer" else b""
