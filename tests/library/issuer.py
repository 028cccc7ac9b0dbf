"""An OpenID issuer on loopback, with keys of its own."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agency_lambda.testing.aws import serving

_ALGORITHMS = {"RS256": jwt.algorithms.RSAAlgorithm, "ES256": jwt.algorithms.ECAlgorithm}


class Issuer:
    """`described` and `published` are its two documents; `status` is that of its answers. `asked`: paths.

    It issues a token for the `resource` that a client's POST names.
    drip: seconds before each of a document's bytes. gzip: what documents are sent in place of, compressed.
    """

    def __init__(self, url: str) -> None:
        self.url, self.asked, self.status, self.delay = url, list[str](), 200, 0.0
        self.drip, self.gzip = 0.0, b""
        self.described: Any = {"issuer": url, "jwks_uri": f"{url}/keys"}
        self.published: list[Any] = []
        self.private: dict[str, tuple[Any, str]] = {}

    def add(self, kid: str, algorithm: str = "RS256", **more: Any) -> None:
        """A new key, published."""
        key: Any = (
            ec.generate_private_key(ec.SECP256R1())
            if algorithm == "ES256"
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )
        self.private[kid] = key, algorithm
        public = json.loads(_ALGORITHMS[algorithm].to_jwk(key.public_key()))
        self.published.append({**public, "kid": kid, "use": "sig", **more})

    def public(self, kid: str) -> bytes:
        """As everybody has it."""
        return bytes(self.private[kid][0].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def token(self, kid: str = "first", *, without: str = "", **claims: Any) -> str:
        key, algorithm = self.private[kid]
        return jwt.encode(self.claims(without=without, **claims), key, algorithm, headers={"kid": kid})

    def claims(self, *, without: str = "", **claims: Any) -> dict[str, Any]:
        good = {"iss": self.url, "aud": "agency", "sub": "alice", "exp": int(time.time()) + 300, **claims}
        return {name: value for name, value in good.items() if name != without}

    def answer(self, path: str) -> Any:
        self.asked.append(path)
        time.sleep(self.delay)
        return self.described if path.startswith("/.well-known/") else {"keys": self.published}


@contextmanager
def openid_issuer() -> Iterator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(issuer.answer(self.path)).encode()
            with suppress(ConnectionError):  # whoever does not wait has gone
                self.send_response(issuer.status)
                self.send_header("Content-Type", "application/json")
                if issuer.gzip:
                    body = issuer.gzip
                    self.send_header("Content-Encoding", "gzip")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                for start in range(len(body)) if issuer.drip else ():
                    self.wfile.write(body[start : start + 1])
                    time.sleep(issuer.drip)
                self.wfile.write(b"" if issuer.drip else body)

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            issued = {"access_token": issuer.token(aud=form["resource"][0]), "token_type": "Bearer", "expires_in": 300}
            body = json.dumps(issued).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
    with serving(server):
        yield issuer
