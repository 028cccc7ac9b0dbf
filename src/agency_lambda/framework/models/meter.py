"""Counts what a run uses, and stops it at its limits."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from agents import ModelSettings, Usage
from openai.types.responses import ResponseUsage

from agency_lambda.framework.models.failures import ModelUnavailable, RunLimit

_COUNTED = (
    *("model_calls", "input_tokens", "output_tokens", "total_tokens", "cached_tokens", "cache_write_tokens"),
    *("reasoning_tokens", "tool_calls", "model_failures"),
)


class ModelCallLimit(RunLimit):
    pass


class OutputTokenLimit(RunLimit):
    pass


@dataclass(frozen=True)
class Limits:
    """client_output_tokens: also sent to the provider."""

    model_calls: float = 50.0
    output_tokens: float = math.inf
    tool_calls: float = math.inf
    client_output_tokens: int | None = None


@dataclass
class Meter:
    """Usage of one run over all agents and attempts, failed calls included.

    of_messages: of other runs that have answered its messages, which have limits of their own.
    """

    limits: Limits = Limits()
    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    tool_calls: int = 0
    model_failures: int = 0
    replayed: Counter[str] = field(default_factory=Counter, repr=False, compare=False)
    of_messages: Counter[str] = field(default_factory=Counter, repr=False, compare=False)
    by_model: defaultdict[str, Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter), repr=False, compare=False
    )

    def begin_call(self, settings: ModelSettings) -> ModelSettings:
        """Count a call before it is made. Returns its settings.

        Raises:
            ModelCallLimit, OutputTokenLimit: the call would exceed a limit.
        """
        client = self.client_tokens_left
        left = min(self.limits.output_tokens - self.output_tokens, math.inf if client is None else client)
        if self.model_calls >= self.limits.model_calls:
            raise ModelCallLimit(f"the run was stopped after {self.limits.model_calls:.0f} model calls")
        if left <= 0:
            raise OutputTokenLimit(f"the run was stopped after {self.output_tokens} output tokens")
        self.model_calls += 1
        if client is None:
            return settings
        return replace(settings, max_tokens=min(int(left), settings.max_tokens or int(left)))

    @property
    def client_tokens_left(self) -> int | None:
        """Return the output tokens that the client still allows, with those of messages counted; None for any."""
        if (most := self.limits.client_output_tokens) is None:
            return None
        return max(most - self.output_tokens - self.of_messages["output_tokens"], 0)

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Count a call as failed if ModelUnavailable leaves this context."""
        try:
            yield
        except ModelUnavailable:
            self.model_failures += 1
            raise

    def replay(self, usage: Usage | ResponseUsage | None, model: str = "") -> None:
        """Count the usage of an answer that an earlier attempt paid for."""
        before = self.counts()
        self.add(usage, model)
        self.replayed.update({name: value - before[name] for name, value in self.counts().items()})
        self.replayed["model_calls"] += 1

    def replay_failure(self) -> None:
        # The call that failed in an earlier attempt is counted already.
        self.model_failures += 1
        self.replayed.update(("model_calls", "model_failures"))

    def replay_tool_call(self) -> None:
        # The call that finished in an earlier attempt is counted already.
        self.replayed["tool_calls"] += 1

    def counts(self) -> dict[str, int]:
        return {name: getattr(self, name) + self.of_messages[name] for name in _COUNTED}

    def paid(self) -> dict[str, int]:
        """Return the counts of this attempt alone."""
        return {name: getattr(self, name) - self.replayed[name] for name in _COUNTED}

    def add_message(self, usage: Mapping[str, Any], by_model: Mapping[str, Mapping[str, int]]) -> None:
        """Add what the run of a message has paid for. usage: as in its response."""
        details = [value for value in usage.values() if isinstance(value, Mapping)]
        for counts in (usage, *details):
            self.of_messages.update({name: counts[name] for name in _COUNTED if name in counts})
        for model, counts in by_model.items():
            self.by_model[model].update(counts)

    def add(self, usage: Usage | ResponseUsage | None, model: str = "") -> None:
        """Add the tokens of one answer; None if the server reports none. model: the provider's."""
        of_model = self.by_model[model]
        of_model["model_calls"] += 1
        if usage is not None:
            cached = getattr(usage.input_tokens_details, "cached_tokens", None) or 0
            written = getattr(usage.input_tokens_details, "cache_write_tokens", None) or 0
            of_model.update(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cached_tokens=cached,
                cache_write_tokens=written,
            )
            self.input_tokens += usage.input_tokens
            self.output_tokens += usage.output_tokens
            self.total_tokens += usage.total_tokens
            self.cached_tokens += cached
            self.cache_write_tokens += written
            self.reasoning_tokens += getattr(usage.output_tokens_details, "reasoning_tokens", None) or 0
