"""Every setting of the service: typed, read once, frozen. What is wrong refuses to start, by name."""

import os
from functools import cache
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ConfigurationError(RuntimeError):
    """The service cannot start as it is configured; the message names the variable and what to write."""


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return value.rstrip("/")


def _sqlite_url(value: str) -> str:
    if not value.removeprefix("sqlite:///") or not value.startswith("sqlite:///"):
        raise ValueError("must be sqlite:///PATH")
    return value


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
    store: Annotated[str, AfterValidator(_sqlite_url)] = Field(default_factory=lambda: _writable("agency.db"))

    @model_validator(mode="after")
    def _whole(self) -> Self:
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
        raise ConfigurationError("; ".join(_sentence(e["loc"], e["msg"]) for e in error.errors())) from None


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    name = "".join(str(part).upper() for part in location[:1])
    return f"{name} {message.removeprefix('Value error, ')}".strip()
