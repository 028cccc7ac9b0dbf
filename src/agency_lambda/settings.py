"""The settings of the service: environment variables, read and validated once."""

import math
import os
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from agency_lambda import credentials, validators

_SECRETS = ("openai_api_key", "api_keys", "otel_exporter_otlp_headers")
_ISSUER = ("jwt_issuer", "jwt_audience")


_Limit = Annotated[float | None, Field(ge=0, le=1e9)]
_Count = Annotated[int | None, Field(ge=0, le=10**15)]


class ConfigurationError(RuntimeError):
    """A setting is wrong; the message names the variable and what to write."""


def _on_lambda() -> bool:
    """Return False for `sam local`, which sets the same variables."""
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ and os.environ.get("AWS_SAM_LOCAL") != "true"


def _default_store() -> str:
    folder = "/tmp" if "AWS_LAMBDA_FUNCTION_NAME" in os.environ else ".data"
    return f"sqlite:///{folder}/agency.db"


def _folder_beside(store: str) -> str:
    """Return a URL. store: beside whose file it is."""
    path = store.removeprefix("sqlite:///") if store.startswith("sqlite:") else ".data/agency.db"
    return Path(path).absolute().with_name("files").as_uri()


class _Environment(EnvSettingsSource):
    """Ignores credentials that the service has put there for the agencies."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        value, key, is_complex = super().get_field_value(field, field_name)
        return None if credentials.is_put(field_name.upper(), value) else value, key, is_complex


class Settings(BaseSettings):
    """The environment variables, as docs/settings.md lists them; an empty one counts as not set."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    event_loop: Literal["patch", "strict"] = "patch"
    defer_imports: Literal["0", "1"] = "1"  # read by cold_start, before there are settings
    openai_api_key: SecretStr | None = None
    openai_api_key_secret: str | None = None
    openai_base_url: Annotated[str, AfterValidator(validators.http_url)] | None = None
    model: str | None = None
    model_api: Literal["responses", "chat"] = "responses"
    linked_content: Literal["0", "1"] | None = None
    model_first_byte_seconds: float = Field(default=120.0, gt=0)
    store: Annotated[str, AfterValidator(validators.store_url)] = Field(default_factory=_default_store)
    files: Annotated[str | None, AfterValidator(validators.files_url)] = Field(
        default_factory=lambda known: None if _on_lambda() else _folder_beside(known["store"])
    )
    queue: Annotated[str, AfterValidator(validators.queue_url)] = "local"
    api_keys: Annotated[tuple[validators.ApiKey, ...], NoDecode, BeforeValidator(validators.api_keys)] = Field(
        default=(), repr=False
    )
    api_keys_secret: str | None = None
    auth: Literal["keys", "iam", "jwt", "none"] = Field(
        default_factory=lambda known: (
            "keys" if _on_lambda() or known["api_keys"] or known["api_keys_secret"] else "none"
        )
    )
    jwt_issuer: Annotated[str, AfterValidator(validators.private_url)] | None = None
    jwt_audience: str | None = None
    jwt_operator_claim: Annotated[str, AfterValidator(validators.claim)] | None = None
    operators: Annotated[tuple[str, ...], NoDecode, BeforeValidator(validators.owners)] = ()
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(validators.origins)] = ()
    protocols: Annotated[tuple[str, ...], NoDecode, BeforeValidator(validators.protocols)] = validators.PROTOCOLS
    docs: Literal["0", "1"] = Field(default_factory=lambda: "0" if "AWS_LAMBDA_FUNCTION_NAME" in os.environ else "1")
    page: Literal["0", "1"] = "1"
    page_client_id: str | None = None
    page_scope: str = "openid"
    approvers: validators.Approvers = "both"
    approval_days: int = Field(default=30, ge=1, le=365)
    agent_messages: validators.Transport = "memory"
    messages_at_once: int = Field(default=10, ge=1)
    max_messages: int = Field(default=200, ge=1, le=10_000)
    max_message_depth: int = Field(default=5, ge=1, le=50)
    message_seconds: float = Field(default=7 * 86_400.0, gt=0, le=20 * 86_400.0)  # records are kept for 30 days
    trace_content: Literal["0", "1"] = "1"
    answer_seconds: float = Field(default=math.inf, gt=0)
    max_model_calls: int = Field(default=50, ge=1)
    max_output_tokens: int = Field(default=100_000, ge=16)  # 16 is the least that OpenAI takes
    max_usd_per_run: _Limit = None
    max_tokens_per_run: _Count = None
    budget_usd_per_day: _Limit = None
    budget_usd_per_month: _Limit = None
    budget_tokens_per_day: _Count = None
    budget_tokens_per_month: _Count = None
    budget_runs_at_once: _Count = None
    prices: str | None = None
    metrics_by_agency: Literal["0", "1"] = "0"
    otel_exporter_otlp_endpoint: Annotated[str, AfterValidator(validators.http_url)] | None = None
    otel_exporter_otlp_headers: SecretStr | None = None
    otel_exporter_otlp_headers_secret: str | None = None
    otel_instrumentation_genai_capture_message_content: bool = False

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _Environment(settings_cls)

    @model_validator(mode="after")
    def _check_auth(self) -> Self:
        # KeyAuthenticator refuses a lack of keys: the worker needs none.
        if self.auth == "none" and _on_lambda():
            raise ValueError("AUTH=none would let everybody call: on Lambda write AUTH=keys and set API_KEYS")
        if self.auth == "iam" and not _on_lambda():
            raise ValueError("AUTH=iam needs API Gateway, which verifies who calls: outside of Lambda nobody does")
        for name in _ISSUER:
            if (self.auth == "jwt") != (getattr(self, name) is not None):
                raise ValueError(f"{name.upper()} is needed with AUTH=jwt, and means nothing without it")
        if self.jwt_operator_claim and self.auth != "jwt":
            raise ValueError("JWT_OPERATOR_CLAIM means nothing without AUTH=jwt")
        if self.page_client_id and self.auth != "jwt":
            raise ValueError("PAGE_CLIENT_ID means nothing without AUTH=jwt: whoever has a key enters it in the page")
        if self.operators and self.auth != "iam":
            raise ValueError("OPERATORS means nothing without AUTH=iam: a key has its role in API_KEYS")
        return self

    @model_validator(mode="after")
    def _check_secrets(self) -> Self:
        for name in _SECRETS:
            if getattr(self, name) and getattr(self, f"{name}_secret"):
                raise ValueError(f"{name.upper()} and {name.upper()}_SECRET are both set: which one counts? Set one.")
        return self

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        if self.openai_base_url and not (self.openai_api_key or self.openai_api_key_secret):
            raise ValueError(
                "OPENAI_BASE_URL is set but OPENAI_API_KEY is not: set both (any text will do for a server "
                "that asks for no key), or neither for the offline model"
            )
        return self


@cache
def get_settings() -> Settings:
    """Read the settings once. Raises ConfigurationError, which names all that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        # A default factory is not called after another error.
        errors = [each for each in error.errors() if each["type"] != "default_factory_not_called"]
        raise ConfigurationError("; ".join(_sentence(each["loc"], each["msg"]) for each in errors)) from None


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    name = "".join(str(part).upper() for part in location[:1])
    return f"{name} {message.removeprefix('Value error, ')}".strip()
