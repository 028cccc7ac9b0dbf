"""The header `Authorization: Bearer ...`."""

from starlette.types import Scope


def bearer_credentials(scope: Scope) -> bytes:
    """Return b"" if there are none."""
    # Two headers are joined, as API Gateway joins them: the result matches no key.
    header = b",".join(value for name, value in scope["headers"] if name == b"authorization")
    scheme, _, credentials = header.strip().partition(b" ")
    return bytes(credentials.strip()) if scheme.lower() == b"bearer" else b""
