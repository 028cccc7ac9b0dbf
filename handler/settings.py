"""Every setting of the service: typed, read once, frozen. What is wrong refuses to start, by name."""

import os
import re
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

OWNER = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_DIGEST = re.compile(r"[0-9A-Fa-f]{64}")
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
_STORE = re.compile(r"sqlite:///.+|dynamodb://[a-zA-Z0-9_.-]{3,255}")


class ConfigurationError(RuntimeError):
    """The service cannot start as it is configured; the message names the variable and what to write."""


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return value.rstrip("/")


def _queue_url(value: str) -> str:
    if value != "local" and not value.startswith(("http://", "https://")):
        raise ValueError("must be local, or the URL of an SQS queue")
    return value


def _store_url(value: str) -> str:
    if not _STORE.fullmatch(value):
        raise ValueError("must be sqlite:///PATH or dynamodb://TABLE (a table's name is 3 to 255 of a-z A-Z 0-9 _ . -)")
    return value


def _api_keys(value: Any) -> Any:
    """`owner:sha256hex` pairs -> ((owner, digest), ...). A wrong one is named by its position: it may hold a secret."""
    if not isinstance(value, str):
        return value
    keys: dict[bytes, str] = {}
    for number, pair in enumerate(re.split(r"[\s,]+", value.strip(" ,\t\r\n")), start=1):
        owner, _, digest = pair.partition(":")
        if not OWNER.fullmatch(owner):
            raise ValueError(f"pair {number}: write owner:sha256hex, the owner as 1 to 64 of a-z A-Z 0-9 _ . @ -")
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"pair {number}: write owner:sha256hex, the key's SHA-256 as 64 hexadecimal digits")
        if keys.setdefault(bytes.fromhex(digest), owner) != owner:
            raise ValueError(f"pair {number}: another owner has this key already")
    return tuple((owner, digest) for digest, owner in keys.items())


def _origins(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    origins = [origin.strip().lower() for origin in value.split(",") if origin.strip()]
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"has {origin!r}: write https://HOST or https://HOST:PORT, no path, no final slash, no *")
    return tuple(origins)


def _on_lambda() -> bool:
    """Where strangers may call; `sam local` sets the same variables on a laptop, and one more."""
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ and os.environ.get("AWS_SAM_LOCAL") != "true"


def _writable(name: str) -> str:
    """Only /tmp is writable on Lambda; on a laptop the data stays with the checkout."""
    folder = "/tmp" if "AWS_LAMBDA_FUNCTION_NAME" in os.environ else ".data"
    return f"sqlite:///{folder}/{name}"


class Settings(BaseSettings):
    """The environment variables of the service (README lists them); an empty one counts as not set."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    event_loop: Literal["patch", "strict"] = "patch"
    openai_api_key: SecretStr | None = None
    openai_base_url: Annotated[str, AfterValidator(_http_url)] | None = None
    model: str | None = None
    model_api: Literal["responses", "chat"] = "responses"
    store: Annotated[str, AfterValidator(_store_url)] = Field(default_factory=lambda: _writable("agency.db"))
    queue: Annotated[str, AfterValidator(_queue_url)] = "local"
    api_keys: Annotated[tuple[tuple[str, bytes], ...], NoDecode, BeforeValidator(_api_keys)] = Field(
        default=(), repr=False
    )
    auth: Literal["keys", "none"] = Field(
        default_factory=lambda known: "keys" if _on_lambda() or known["api_keys"] else "none"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = ()
    max_model_calls: int = Field(default=50, ge=1)
    max_output_tokens: int = Field(default=100_000, ge=16)  # 16 is the least that OpenAI takes

    @model_validator(mode="after")
    def _callers_are_known(self) -> Self:
        if self.auth == "keys" and not self.api_keys:
            raise ValueError(
                "AUTH is keys (on Lambda it always is) but API_KEYS is not set: `make key OWNER=name` makes a key, "
                "and prints what to put there"
            )
        if self.auth == "none" and _on_lambda():
            raise ValueError("AUTH=none would let everybody call: on Lambda write AUTH=keys and set API_KEYS")
        return self

    @model_validator(mode="after")
    def _model_is_whole(self) -> Self:
        if self.openai_base_url and not self.openai_api_key:
            raise ValueError(
                "OPENAI_BASE_URL is set but OPENAI_API_KEY is not: set both (any text will do for a server "
                "that asks for no key), or neither for the offline model"
            )
        return self

    @property
    def offline(self) -> bool:
        """No key, no model to ask: the deterministic offline model answers."""
        return self.openai_api_key is None


@cache
def get_settings() -> Settings:
    """Read the environment once.

    Raises:
        ConfigurationError: names every variable that is wrong and why.
    """
    try:
        return Settings()
    except ValidationError as error:
        told = [e for e in error.errors() if e["type"] != "default_factory_not_called"]  # only follows from another
        raise ConfigurationError("; ".join(_sentence(e["loc"], e["msg"]) for e in told)) from None


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    name = "".join(str(part).upper() for part in location[:1])
    return f"{name} {message.removeprefix('Value error, ')}".strip()
