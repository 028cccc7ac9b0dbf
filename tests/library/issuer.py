"""An OpenID issuer on loopback, with keys of its own."""

import hashlib
import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agency_lambda.testing.aws import serving

_ALGORITHMS = {"RS256": jwt.algorithms.RSAAlgorithm, "ES256": jwt.algorithms.ECAlgorithm}


class Issuer:
    """`described` and `published` are its two documents; `status` is that of its answers. `asked`: paths.

    It issues a token for the `resource` that a client's POST names. Whoever is led to /authorize has signed in there,
    unless `refusal` is an error; /token gives tokens for a code and its verifier, or for a refresh token.
    drip: seconds before each of a document's bytes. gzip: what documents are sent in place of, compressed.
    """

    def __init__(self, url: str) -> None:
        self.url, self.asked, self.status, self.delay = url, list[str](), 200, 0.0
        self.drip, self.gzip = 0.0, b""
        self.described: Any = {"issuer": url, "jwks_uri": f"{url}/keys"}
        self.published: list[Any] = []
        self.private: dict[str, tuple[Any, str]] = {}
        self.refusal = ""
        self.lifetimes: list[int] = []  # of the next tokens, in seconds; then 300
        self.authorized: list[dict[str, str]] = []  # the queries of /authorize
        self._codes: dict[str, dict[str, str]] = {}
        self._refresh: set[str] = set()

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

    def with_sign_in(self) -> None:
        """Publish a key and the endpoints of the code flow."""
        self.add("first")
        self.described |= {"authorization_endpoint": f"{self.url}/authorize", "token_endpoint": f"{self.url}/token"}

    def authorize(self, query: str) -> str:
        """Return where a person is led who has signed in."""
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        self.authorized.append(asked)
        code = secrets.token_urlsafe()
        self._codes[code] = asked
        given = {"error": self.refusal} if self.refusal else {"code": code}
        return f"{asked['redirect_uri']}?{urlencode({**given, 'state': asked['state']})}"

    def granted(self, form: dict[str, str]) -> dict[str, Any] | None:
        """Return tokens for a code, which is taken once, or for a refresh token, which is the next one's then."""
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] not in self._refresh:
                return None
            self._refresh.remove(form["refresh_token"])
            return self._tokens(form["client_id"], has_refresh=True)
        if form["grant_type"] == "client_credentials":
            return {"access_token": self.token(aud=form["resource"]), "token_type": "Bearer", "expires_in": 300}
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = urlsafe_b64encode(digest).decode().rstrip("=")
        known = asked and {name: asked[name] for name in ("code_challenge", "client_id", "redirect_uri")}
        if known != {"code_challenge": challenge, **{name: form[name] for name in ("client_id", "redirect_uri")}}:
            return None
        assert asked
        return self._tokens(form["client_id"], has_refresh="offline_access" in asked["scope"])

    def _tokens(self, client: str, *, has_refresh: bool) -> dict[str, Any]:
        seconds = self.lifetimes.pop(0) if self.lifetimes else 300
        now = int(time.time())
        access, id_token = self.token(iat=now, exp=now + seconds), self.token(iat=now, aud=client)
        tokens = {"access_token": access, "id_token": id_token}
        if has_refresh:
            tokens["refresh_token"] = secrets.token_urlsafe()
            self._refresh.add(tokens["refresh_token"])
        return {**tokens, "token_type": "Bearer", "expires_in": max(seconds, 1)}


@contextmanager
def openid_issuer() -> Iterator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path == "/authorize":
                self.send_response(302)
                self.send_header("Location", issuer.authorize(query))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
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
            text = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[0] for name, values in parse_qs(text).items()}
            issued = issuer.granted(form)
            body = json.dumps(issued or {"error": "invalid_grant"}).encode()
            self.send_response(200 if issued else 400)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
    with serving(server):
        yield issuer
