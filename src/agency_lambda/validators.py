"""Validators of settings. Each raises ValueError, which says what to write instead."""

import os
import re
from typing import Any, Literal
from urllib.parse import urlsplit

OWNER = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
HASHED = "sha256-"  # how the owner begins whose name is kept as its digest
OPERATOR = "operator"  # the role in a key of API_KEYS
PROTOCOLS = ("chat-completions", "ag-ui", "agency-swarm", "mcp", "files")  # beside `responses`, which is always on
_DIGEST = re.compile(r"[0-9A-Fa-f]{64}")
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
_STORE = re.compile(r"sqlite:///.+|dynamodb://[a-zA-Z0-9_.-]{3,255}")
_FILES = re.compile(r"file:///.+|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()/-]*)?")
_CLAIM = re.compile(r"[^\s=]+(=\S+)?")
_OPENAI = "api.openai.com"  # regions have hosts below it
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


Transport = Literal["memory", "queue"]
"""How a message reaches an agent: in the process of its sender's run, or by a run of its own."""

Approvers = Literal["both", "owner", "operators", "other_operators"]
"""Who may decide: the run's owner, an operator, either; or an operator whose name is not the owner's."""

type ApiKey = tuple[str, bytes, bool]
"""Owner, SHA-256, and whether it is an operator's."""


def is_openai_host(host: str | None) -> bool:
    return host is not None and (host == _OPENAI or host.endswith(f".{_OPENAI}"))


def http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return value.rstrip("/")


def private_url(value: str) -> str:
    """Accept https, and http on localhost."""
    url = urlsplit(value)
    if not url.hostname or (url.scheme != "https" and (url.scheme, url.hostname in _LOOPBACK) != ("http", True)):
        raise ValueError("must be https://HOST..., or http:// on localhost")
    return value


def queue_url(value: str) -> str:
    if value == "local" or value.startswith(("http://", "https://")):
        return value
    if os.environ.get("AWS_SAM_LOCAL") == "true":
        return "local"  # sam local passes the name of a queue that it does not create
    raise ValueError("must be local, or the URL of an SQS queue")


def store_url(value: str) -> str:
    if not _STORE.fullmatch(value):
        raise ValueError("must be sqlite:///PATH or dynamodb://TABLE (a table's name is 3 to 255 of a-z A-Z 0-9 _ . -)")
    return value


def files_url(value: str | None) -> str | None:
    if value is not None and not _FILES.fullmatch(value):
        raise ValueError("must be file:///FOLDER, with its whole path, or s3://BUCKET/PREFIX")
    return value


def api_keys(value: Any) -> Any:
    """Parse `owner:sha256hex` and `owner:sha256hex:operator` to ((owner, digest, is_operator), ...)."""
    # Errors name a pair by its position, as it may hold a secret.
    if not isinstance(value, str):
        return value
    keys: dict[bytes, ApiKey] = {}
    for number, pair in enumerate(re.split(r"[\s,]+", value.strip(" ,\t\r\n")), start=1):
        owner, _, rest = pair.partition(":")
        digest, _, role = rest.partition(":")
        if not OWNER.fullmatch(owner):
            raise ValueError(f"pair {number}: write owner:sha256hex, the owner as 1 to 64 of a-z A-Z 0-9 _ . @ -")
        if owner.startswith(HASHED):
            raise ValueError(f"pair {number}: {HASHED} begins the names of owners whose own names are no owner's")
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"pair {number}: write owner:sha256hex, the key's SHA-256 as 64 hexadecimal digits")
        if ":" in rest and role != OPERATOR:
            raise ValueError(f"pair {number}: behind the 64 hexadecimal digits only :{OPERATOR} may follow")
        key = (owner, bytes.fromhex(digest), role == OPERATOR)
        if keys.setdefault(key[1], key) != key:
            raise ValueError(f"pair {number}: another owner has this key already, or the same one in another role")
    return tuple(keys.values())


def owners(value: Any) -> Any:
    """Parse names of owners, separated by commas."""
    if not isinstance(value, str):
        return value
    names = tuple(re.split(r"[\s,]+", value.strip(" ,\t\r\n")))
    for name in names:
        if not OWNER.fullmatch(name):
            raise ValueError(
                f"has {name!r}: write names of owners (1 to 64 of a-z A-Z 0-9 _ . @ -), with commas between"
            )
    return names


def claim(value: str) -> str:
    if not _CLAIM.fullmatch(value):
        raise ValueError("must be NAME, a claim that is true, or NAME=VALUE")
    return value


def bearer_key(value: str) -> str:
    """Accept a key that fits into an HTTP header."""
    if not re.fullmatch(r"[\x21-\x7e]+", value):
        raise ValueError("must be one key: no space, no line break and no letter beyond ASCII in it")
    return value


def origins(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parsed = [origin.strip().lower() for origin in value.split(",") if origin.strip()]
    for origin in parsed:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"has {origin!r}: write https://HOST or https://HOST:PORT, no path, no final slash, no *")
    return tuple(parsed)


def protocols(value: Any) -> Any:
    """Parse names of PROTOCOLS, separated by commas; `responses` adds none."""
    if not isinstance(value, str):
        return value
    names = {name.strip() for name in value.split(",") if name.strip()}
    for name in sorted(names - {*PROTOCOLS, "responses"}) if names else [value]:
        raise ValueError(f"has {name!r}: write some of {', '.join(PROTOCOLS)}, or responses for none of them")
    return tuple(name for name in PROTOCOLS if name in names)
