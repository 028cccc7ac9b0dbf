"""Which model an agent asks: its own, the entry's, the setting's, or the offline model."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import httpx
from agency_swarm import Agency, Agent
from agency_swarm.agent.constants import FRAMEWORK_DEFAULT_MODEL
from agents import Model, ModelProvider, ModelSettings, RunConfig
from agents.models._openai_shared import get_default_openai_client
from agents.models.default_models import get_default_model, get_default_model_settings
from agents.models.multi_provider import MultiProvider
from openai import AsyncOpenAI

from agency_lambda import credentials
from agency_lambda.framework import patches
from agency_lambda.framework.models import offline, vendors
from agency_lambda.framework.models.calls import AdaptSettings, ModelsOfRun, Resolve, RunProtocol
from agency_lambda.framework.models.client import sort_failures
from agency_lambda.framework.models.connection_pool import assign_quickly
from agency_lambda.framework.models.resolution import assign_run, find_outside_runs_with
from agency_lambda.framework.models.wrapped import OneCallModel
from agency_lambda.framework.openai_clients import keep_key
from agency_lambda.refreshing_cache import RefreshingCache
from agency_lambda.settings import Settings
from agency_lambda.validators import bearer_key

if TYPE_CHECKING:
    from agency_lambda.offline import Script

_OPENAI = "https://api.openai.com/v1"
_RETRIES = 2  # by the client, of what may pass: connection errors, 408, 409, 429, 5xx


class Models:
    """The models of one execution environment, on one client and connection pool.

    The key goes to OPENAI_BASE_URL, or to OpenAI if that is not set, and nowhere else.
    """

    def __init__(self, settings: Settings, secrets: Mapping[str, str] | None = None) -> None:
        """secrets: variable -> ARN of the agencies' secrets; None: as the environment names them."""
        self.settings = settings
        self._client: AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # that the client's connections belong to
        self._key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else None
        named = credentials.named_secrets() if secrets is None else secrets
        self._secrets = {variable: _secret(arn, str) for variable, arn in named.items()}
        arn = settings.openai_api_key_secret
        self._secret = _secret(arn, bearer_key) if arn else None
        patches.install()
        find_outside_runs_with(lambda agent, run_config: self.resolver()(agent, run_config)[0])

    async def refresh(self) -> None:
        """Read the keys and set them for the agencies' own clients, before an agency is imported.

        Raises:
            SecretUnavailable: a secret cannot be read.
        """
        if self._secret is not None:
            self._key = await self._secret.get()
            if self._client and self._key and self._key != self._client.api_key:
                renewed = self._client.with_options(api_key=self._key)  # on the same connections
                self._client = keep_key(renewed)
        credentials.provide(self._key, self.settings.openai_base_url)
        for variable, secret in self._secrets.items():
            credentials.put(variable, await secret.get())

    @property
    def offline(self) -> bool:
        return self._key is None

    @property
    def secret(self) -> str | None:
        """Return a text that nobody outside the deployment knows; None where there is no key."""
        return self._key

    @property
    def client(self) -> AsyncOpenAI:
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
        return keep_key(assign_quickly(sort_failures(client)))

    async def aclose(self) -> None:
        """Close the connections. Later runs get a new client."""
        for secret in self._secrets.values():
            secret.clear()
        if self._secret:
            self._key = None
            self._secret.clear()
        client, self._client, self._loop = self._client, None, None
        if client is not None:
            await client.close()

    def of_run(self, script: "Mapping[str, Script] | None" = None, model: str | None = None) -> ModelsOfRun:
        return ModelsOfRun(self.settings.model_first_byte_seconds, self.resolver(script, model))

    def resolver(self, script: "Mapping[str, Script] | None" = None, model: str | None = None) -> Resolve:
        """Return the function that finds the model of an agent. script: agent -> offline script.

        An agent's own Model instance stays, also offline. A name is looked up on our client (`litellm/...` by the SDK).
        No name or the framework's default becomes `model`, or MODEL if that is None.
        """
        return partial(self._resolve, script=script or {}, default=model or self.settings.model)

    def attach(self, agency: Agency, run: RunProtocol) -> None:
        """Have a run meter an agency's model calls. Raises the SDK's error for an unknown provider."""
        for agent in agency.agents.values():
            assign_run(agent, run)
            if "/" in str(agent.model):
                run.resolve(agent, RunConfig())

    def _resolve(
        self, agent: Any, run_config: RunConfig, *, script: "Mapping[str, Script]", default: str | None
    ) -> tuple[Model, AdaptSettings | None]:
        chosen = run_config.model or agent.model
        if isinstance(chosen, Model):
            return chosen, None
        if is_own(run_config.model_provider):
            return run_config.model_provider.get_model(chosen), None
        stands_in = default if chosen in (None, FRAMEWORK_DEFAULT_MODEL) else None
        if self._is_offline_for(stands_in or chosen):
            return offline.model(agent.name, script.get(agent.name)), None
        if stands_in:
            return self._named(stands_in), partial(_adapted, chosen or get_default_model(), stands_in)
        return self._named(chosen), None

    def for_summaries(self, agent: Agent, model: str | None = None) -> Model:
        """Return an agent's model, not metered; offline it summarizes."""
        script = {agent.name: offline.summary_script()} if self.offline else {}
        return self.resolver(script, model)(agent, RunConfig())[0]

    def is_free(self, agency: Agency, model: str | None) -> bool:
        """Return whether all agents are offline. model: for agents that name none."""
        resolve = self.resolver(model=model)
        return self.offline and all(
            offline.is_offline(resolve(agent, RunConfig())[0]) for agent in agency.agents.values()
        )

    def _is_offline_for(self, name: str | None) -> bool:
        if not self.offline or vendors.has_key(name):
            return False
        own = get_default_openai_client()
        return own is None or credentials.is_ours(own.api_key)

    def _named(self, name: str | None) -> Model:
        # On another event loop than the shared client's, a model has a client of its own.
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
        # At OpenAI a slash ends a provider's prefix, elsewhere it is part of the name.
        own = self.settings.openai_base_url is not None
        return MultiProvider(
            openai_client=client,
            openai_use_responses=self.settings.model_api == "responses",
            openai_prefix_mode="model_id" if own else "alias",
            unknown_prefix_mode="model_id" if own else "error",
        )


def _secret(name: str, parse: Callable[[str], str]) -> "RefreshingCache[str | None]":
    from agency_lambda.secrets import secret  # and boto3, only where there is one

    return secret(name, parse)


def is_own(provider: ModelProvider) -> bool:
    """Return whether the agency's code has chosen a provider; the default is a MultiProvider."""
    if type(provider) is not MultiProvider:
        return True
    openai = provider.openai_provider
    custom = (openai._client, getattr(openai, "_stored_api_key", None), getattr(openai, "_stored_base_url", None))
    return provider.provider_map is not None or any(custom)


def _adapted(before: str, after: str, current: ModelSettings) -> ModelSettings:
    # Replaces settings that the agent has only as defaults of the model that another one replaces.
    replaced, defaults = _differences(before, after)
    inherited = {name: defaults[name] for name in replaced if getattr(current, name) == replaced[name]}
    return replace(current, **inherited) if inherited else current


@cache
def _differences(before: str, after: str) -> tuple[dict[str, Any], dict[str, Any]]:
    # Two models' defaults where they differ: {name: value} of each.
    one, other = get_default_model_settings(before), get_default_model_settings(after)
    names = [
        field.name
        for field in fields(ModelSettings)
        if getattr(one, field.name) not in (None, getattr(other, field.name))
    ]
    return {name: getattr(one, name) for name in names}, {name: getattr(other, name) for name in names}
