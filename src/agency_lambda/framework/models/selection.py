"""Which model answers for each agent of an agency."""

import asyncio
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import cache, partial
from importlib import import_module
from typing import Any

import httpx
from agency_swarm import Agency, Agent
from agency_swarm.agent.constants import FRAMEWORK_DEFAULT_MODEL
from agents import Model, ModelProvider, ModelSettings, RunConfig
from agents.models._openai_shared import get_default_openai_client
from agents.models.default_models import get_default_model, get_default_model_settings
from agents.models.multi_provider import MultiProvider
from openai import AsyncOpenAI

from agency_lambda.framework import credentials
from agency_lambda.framework.models import tracing, vendors
from agency_lambda.framework.models.calls import Adapt, RunProtocol
from agency_lambda.framework.models.client import sort_failures
from agency_lambda.framework.models.resolution import belong, install
from agency_lambda.framework.models.wrapped import OneCallModel
from agency_lambda.offline import OfflineModel, Script
from agency_lambda.refreshing_cache import RefreshingCache
from agency_lambda.settings import Settings
from agency_lambda.validators import bearer_key

_OPENAI = "https://api.openai.com/v1"
_RETRIES = 2  # by the client, of what may pass: connection errors, 408, 409, 429, 5xx


class Models:
    """The models of one execution environment, on one client and so on one connection pool.

    The key goes to OPENAI_BASE_URL, or to OpenAI when that is not set, and nowhere else.
    """

    def __init__(self, settings: Settings, secrets: Mapping[str, str] | None = None) -> None:
        """secrets: variables of the agencies' code and their secrets' ARNs; None: as the environment names them."""
        self.settings = settings
        self._client: AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # that the client's connections belong to
        self._key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else None
        named = credentials.named_secrets() if secrets is None else secrets
        self._secrets = {variable: _secret(arn, str) for variable, arn in named.items()}
        arn = settings.openai_api_key_secret
        self._secret = _secret(arn, bearer_key) if arn else None
        tracing.install()
        install(lambda agent, run_config: self.resolve(agent, run_config, script={}, default=settings.model)[0])

    async def refresh(self) -> None:
        """Read the key as it is now, and put it where the agencies' own clients look. Before an agency is imported.

        A run that has begun goes on with the key that it began with.

        Raises:
            SecretUnavailable: see there.
        """
        if self._secret is not None:
            self._key = await self._secret.get()
            if self._client and self._key and self._key != self._client.api_key:
                renewed = self._client.with_options(api_key=self._key)  # on the same connections
                self._client = credentials.keep_key(renewed)
        credentials.provide(self._key, self.settings.openai_base_url)
        for variable, secret in self._secrets.items():
            credentials.put(variable, await secret.get())

    @property
    def offline(self) -> bool:
        """No key, no model to ask: the deterministic offline model answers."""
        return self._key is None

    @property
    def client(self) -> AsyncOpenAI:
        """Made when first used; offline there is no key and so no client."""
        if self._client is None:
            self._client = self._new_client()
        return self._client

    def _new_client(self) -> AsyncOpenAI:
        assert self._key, "offline: there is no client"
        # Seconds; read: of silence, not of the answer.
        timeout = httpx.Timeout(connect=5, read=self.settings.model_first_byte_seconds, write=30, pool=5)
        client = AsyncOpenAI(
            api_key=self._key,
            base_url=self.settings.openai_base_url or _OPENAI,
            timeout=timeout,
            max_retries=_RETRIES,
        )
        return credentials.keep_key(sort_failures(client))

    async def aclose(self) -> None:
        """Close the connections. What is attached after it gets a new client (after a SnapStart restore)."""
        for secret in self._secrets.values():
            secret.clear()
        if self._secret:
            self._key = None
            self._secret.clear()
        client, self._client, self._loop = self._client, None, None
        if client is not None:
            await client.close()

    def attach(
        self, agency: Agency, run: RunProtocol, script: "Mapping[str, Script] | None" = None, model: str | None = None
    ) -> None:
        """Have every model call of `run` answered from here, and counted and heard by it.

        An agent's own Model instance stays, also offline. A name is looked up on our client (`litellm/...` where the
        SDK would). What names no model, or has the framework's default, gets `model`, or MODEL where that is None.
        script: agent name -> its offline script.
        """
        run.longest_silence = self.settings.model_first_byte_seconds
        run.resolve = partial(self.resolve, script=script or {}, default=model or self.settings.model)
        for agent in agency.agents.values():
            belong(agent, run)
            if "/" in str(agent.model):  # whoever does not know the provider says so before the run begins
                run.resolve(agent, RunConfig())

    def resolve(
        self, agent: Any, run_config: RunConfig, *, script: "Mapping[str, Script]", default: str | None
    ) -> tuple[Model, Adapt | None]:
        """Find the model of an agent; and what adapts settings that it has only from the model that it replaces."""
        wanted = run_config.model or agent.model
        if isinstance(wanted, Model):
            return wanted, None
        if is_own(run_config.model_provider):
            return run_config.model_provider.get_model(wanted), None
        stands_in = default if wanted in (None, FRAMEWORK_DEFAULT_MODEL) else None
        if self._is_offline_for(stands_in or wanted):
            return OfflineModel(agent.name, script.get(agent.name)), None
        if stands_in:
            return self._named(stands_in), partial(_adapted, wanted or get_default_model(), stands_in)
        return self._named(wanted), None

    def bare(self, agent: Agent, script: "Mapping[str, Script]", model: str | None = None) -> Model:
        """The model of one agent, neither counted nor heard."""
        return self.resolve(agent, RunConfig(), script=script, default=model or self.settings.model)[0]

    def is_free(self, agency: Agency, model: str | None) -> bool:
        """Return whether no agent of an agency asks anybody; model: of those that name none."""
        default = model or self.settings.model
        return self.offline and all(
            isinstance(self.resolve(agent, RunConfig(), script={}, default=default)[0], OfflineModel)
            for agent in agency.agents.values()
        )

    def _is_offline_for(self, name: str | None) -> bool:
        if not self.offline or vendors.has_key(name):
            return False
        own = get_default_openai_client()
        return own is None or credentials.is_ours(own.api_key)

    def _named(self, name: str | None) -> Model:
        """The model of this name, on the shared client; on another loop than that one's, on a client of its own."""
        if (own := get_default_openai_client()) is not None:  # the agency's code has set it
            return MultiProvider(openai_client=own, unknown_prefix_mode="model_id").get_model(name)
        if self.offline:  # another vendor's, who has a key
            return MultiProvider().get_model(name)
        loop = asyncio._get_running_loop()
        self._loop = self._loop or loop
        if loop is self._loop:
            return self._provider(self.client).get_model(name)
        client = self._new_client()
        return OneCallModel(self._provider(client).get_model(name), client)

    def _provider(self, client: AsyncOpenAI) -> MultiProvider:
        """At another server a slash is part of the name; at OpenAI it ends the SDK's provider prefix."""
        own = self.settings.openai_base_url is not None
        return MultiProvider(
            openai_client=client,
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


def _secret(name: str, parse: Callable[[str], str]) -> "RefreshingCache[str | None]":
    from agency_lambda.secrets import secret  # and boto3, only where there is one

    return secret(name, parse)


def is_own(provider: ModelProvider) -> bool:
    """Return whether code of the agency has chosen a provider; a RunConfig without one has a MultiProvider."""
    if type(provider) is not MultiProvider:
        return True
    openai = provider.openai_provider
    given = (openai._client, getattr(openai, "_stored_api_key", None), getattr(openai, "_stored_base_url", None))
    return provider.provider_map is not None or any(given)


def _adapted(before: str, after: str, current: ModelSettings) -> ModelSettings:
    """The agent has the reasoning and verbosity of its default model, which another one takes the place of."""
    given, wanted = _differences(before, after)
    inherited = {name: wanted[name] for name in given if getattr(current, name) == given[name]}
    return replace(current, **inherited) if inherited else current


@cache
def _differences(before: str, after: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings that two models' defaults differ in: {name: value} of the one, and of the other."""
    one, other = get_default_model_settings(before), get_default_model_settings(after)
    names = [
        field.name
        for field in fields(ModelSettings)
        if getattr(one, field.name) not in (None, getattr(other, field.name))
    ]
    return {name: getattr(one, name) for name in names}, {name: getattr(other, name) for name in names}
