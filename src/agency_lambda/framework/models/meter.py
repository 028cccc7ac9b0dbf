"""What a run uses of its models and tools, and how much it may."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from agents import ModelSettings, Usage
from openai.types.responses import ResponseUsage

from agency_lambda.framework.models.failures import ModelUnavailable, RunLimit


class ModelCallLimit(RunLimit):
    """The run asked a model more often than a run may."""


class OutputTokenLimit(RunLimit):
    """The run's models have written as many tokens as they may."""


@dataclass
class Meter:
    """What one run used, over all its agents and attempts. A call that failed counts as a call.

    Answers that an earlier attempt has paid for belong to the run, but `paid` does not count them again.
    """

    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    tool_calls: int = 0
    model_failures: int = 0

    # Limits are no fields: they are not used up, they are there. What calls a tool for ever is not paid for ever.
    most_calls = 50.0
    most_output_tokens = math.inf
    most_tool_calls = math.inf
    cap: int | None = None  # as most_output_tokens, but told to the provider too: the client asked for it

    def __post_init__(self) -> None:
        self._replayed: Counter[str] = Counter()

    def begin_call(self, settings: ModelSettings) -> ModelSettings:
        """Count a call before it is made; returns the settings to make it with.

        Raises:
            ModelCallLimit, OutputTokenLimit: that would be one too many.
        """
        left = min(self.most_output_tokens, math.inf if self.cap is None else self.cap) - self.output_tokens
        if self.model_calls >= self.most_calls:
            raise ModelCallLimit(f"the run was stopped after {self.most_calls:.0f} model calls")
        if left <= 0:
            raise OutputTokenLimit(f"the run was stopped after {self.output_tokens} output tokens")
        self.model_calls += 1
        if self.cap is None:
            return settings
        return replace(settings, max_tokens=min(int(left), settings.max_tokens or int(left)))

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Around one call: count it if the model does not answer."""
        try:
            yield
        except ModelUnavailable:
            self.model_failures += 1
            raise

    def replay(self, usage: Usage | ResponseUsage | None) -> None:
        """Count the usage of an answer that an earlier attempt has paid for; its call is counted already."""
        before = self.counts()
        self.add(usage)
        self._replayed.update({name: value - before[name] for name, value in self.counts().items()})
        self._replayed["model_calls"] += 1

    def replay_failure(self) -> None:
        """Count a call that has failed in an earlier attempt, and is not made again; the call is counted already."""
        self.model_failures += 1
        self._replayed.update(("model_calls", "model_failures"))

    def replay_tool_call(self) -> None:
        """Note that a tool call, which is counted already, had finished in an earlier attempt."""
        self._replayed["tool_calls"] += 1

    def counts(self) -> dict[str, int]:
        """Return what was counted, by name."""
        return {name: value for name, value in asdict(self).items() if name != "cap"}

    def paid(self) -> dict[str, int]:
        """Return what this attempt has used by itself, by name."""
        return {name: value - self._replayed[name] for name, value in self.counts().items()}

    def add(self, usage: Usage | ResponseUsage | None) -> None:
        """None: the server does not say."""
        if usage is not None:
            self.input_tokens += usage.input_tokens
            self.output_tokens += usage.output_tokens
            self.total_tokens += usage.total_tokens
            self.cached_tokens += getattr(usage.input_tokens_details, "cached_tokens", None) or 0
            self.reasoning_tokens += getattr(usage.output_tokens_details, "reasoning_tokens", None) or 0
