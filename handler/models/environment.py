"""Which model answers for each agent of an agency."""

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import cache
from importlib import import_module

import httpx
from agency_swarm import Agency, Agent
from agency_swarm.agent.constants import FRAMEWORK_DEFAULT_MODEL
from agents import Model, ModelSettings
from agents.models.default_models import get_default_model_settings
from agents.models.multi_provider import MultiProvider
from openai import AsyncOpenAI

from handler.fresh import Fresh
from handler.models import tracing
from handler.models.metering import MeteredModel, Running
from handler.offline import OfflineModel, Script
from handler.settings import Settings
from handler.variables import bearer_key

_OPENAI = "https://api.openai.com/v1"
_TIMEOUT = httpx.Timeout(connect=5, read=120, write=30, pool=5)  # seconds; read: of silence, not of the answer
_RETRIES = 2  # by the client, of what is safe to repeat: connection errors, 408, 409, 429, 5xx


class Models:
    """The models of one execution environment, on one client and so on one connection pool.

    The key goes to OPENAI_BASE_URL, or to OpenAI when that is not set, and nowhere else.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._client: AsyncOpenAI | None = None
        self._key = settings.openai_api_key and settings.openai_api_key.get_secret_value()
        self._secret: Fresh[str | None] | None = None
        if settings.openai_api_key_secret:
            from handler.secrets import secret  # and boto3, only where there is one

            self._secret = secret(settings.openai_api_key_secret, bearer_key)
        tracing.install()

    async def refresh(self) -> None:
        """Before a run: the key as it is now. A run that has begun goes on with the one that it began with.

        Raises:
            SecretUnavailable: see there.
        """
        if self._secret is None:
            return
        self._key = await self._secret.value()
        if self._client and self._key and self._key != self._client.api_key:
            self._client = self._client.with_options(api_key=self._key)  # on the same connections

    @property
    def offline(self) -> bool:
        """No key, no model to ask: the deterministic offline model answers."""
        return self._key is None

    @property
    def client(self) -> AsyncOpenAI:
        """Made when first used; offline there is no key and so no client."""
        if self._client is None:
            assert self._key, "offline: there is no client"
            self._client = AsyncOpenAI(
                api_key=self._key,
                base_url=self.settings.openai_base_url or _OPENAI,
                timeout=_TIMEOUT,
                max_retries=_RETRIES,
            )
        return self._client

    async def aclose(self) -> None:
        """Close the connections. What is attached after it gets a new client (after a SnapStart restore)."""
        if self._secret:
            self._key = None
            self._secret.forget()
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def attach(self, agency: Agency, run: Running, script: "Mapping[str, Script] | None" = None) -> None:
        """Give every agent its model, counted and heard by `run`; script: agent name -> its offline script.

        An agent's own Model instance stays, also offline. A name is looked up on our client (`litellm/...`
        where the SDK would). MODEL stands in for the framework's default, which an agent without a model has.
        """
        for agent in agency.agents.values():
            declared = getattr(agent.model, "declared", agent.model)
            agent.model = MeteredModel(self.bare(agent, script or {}), run, agent.name, declared)

    def bare(self, agent: Agent, script: "Mapping[str, Script]") -> Model:
        """The model of one agent, neither counted nor heard."""
        declared = getattr(agent.model, "declared", agent.model)
        return declared if isinstance(declared, Model) else self._named(agent, declared, script)

    def _named(self, agent: Agent, declared: str | None, script: "Mapping[str, Script]") -> Model:
        if self.offline:
            return OfflineModel(agent.name, script.get(agent.name))
        name = declared or FRAMEWORK_DEFAULT_MODEL
        if self.settings.model and name == FRAMEWORK_DEFAULT_MODEL:
            agent.model_settings = _settings_of(self.settings.model, agent.model_settings)
            name = self.settings.model
        return self._provider().get_model(name)

    def _provider(self) -> MultiProvider:
        """At another server a slash is part of the name; at OpenAI it ends the SDK's provider prefix."""
        own = self.settings.openai_base_url is not None
        return MultiProvider(
            openai_client=self.client,
            openai_use_responses=self.settings.model_api == "responses",
            openai_prefix_mode="model_id" if own else "alias",
            unknown_prefix_mode="model_id" if own else "error",
        )


def offline_script(create_agency: Callable[..., object]) -> "Mapping[str, Script]":
    """SCRIPT of the module `offline` beside the agency's own module; {} where there is no such module.

    Raises whatever importing it raises, and AttributeError where it has no SCRIPT.
    """
    package = sys.modules[create_agency.__module__].__package__
    return _script(f"{package}.offline") if package else {}


@cache
def _script(module: str) -> "Mapping[str, Script]":
    if importlib.util.find_spec(module) is None:
        return {}
    script: Mapping[str, Script] = import_module(module).SCRIPT
    return script


def _settings_of(name: str, current: ModelSettings) -> ModelSettings:
    """The framework gave the agent the reasoning and verbosity of its default model: exchange those."""
    before, after = get_default_model_settings(FRAMEWORK_DEFAULT_MODEL), get_default_model_settings(name)
    inherited = {
        field.name: getattr(after, field.name)
        for field in fields(ModelSettings)
        if getattr(before, field.name) not in (None, getattr(after, field.name))
        and getattr(current, field.name) == getattr(before, field.name)
    }
    return replace(current, **inherited)
