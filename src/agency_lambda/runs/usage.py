"""The arithmetic of usage: a response's `usage`, and the counts of each model."""

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from agency_lambda.framework.models import Meter

ByModel = Mapping[str, Mapping[str, int]]
"""The provider's model -> the counts of `COUNTS_OF_MODEL`."""
COUNTS_OF_MODEL = ("model_calls", "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens")

_TOKENS = ("input_tokens", "output_tokens", "total_tokens")
_DETAILS = {
    "input_tokens_details": ("cached_tokens", "cache_write_tokens"),
    "output_tokens_details": ("reasoning_tokens",),
}


class PaidCalls(NamedTuple):
    """The model calls that one run or several have paid for."""

    usage: dict[str, Any]  # as a response shows it
    by_model: dict[str, dict[str, int]]

    def plus(self, usage: Mapping[str, Any], by_model: ByModel) -> "PaidCalls":
        return PaidCalls(_added(self.usage, usage, 1), _added(self.by_model, by_model, 1))

    def minus(self, usage: Mapping[str, Any], by_model: ByModel) -> "PaidCalls":
        return PaidCalls(_added(self.usage, usage, -1), _added(self.by_model, by_model, -1))


def usage_of_meter(meter: "Meter | None") -> dict[str, Any]:
    """Return the usage that a response shows. meter: None if no agency was executed."""
    return usage_of_counts(meter.counts() if meter else {}, meter.replayed["model_calls"] if meter else 0)


def usage_of_counts(known: Mapping[str, int], replayed_calls: int = 0) -> dict[str, Any]:
    """Return the usage that a response shows, from flat counts by name."""
    counts = defaultdict[str, int](int, known)
    return {
        "model_calls": counts["model_calls"],
        "replayed_calls": replayed_calls,
        "input_tokens": counts["input_tokens"],
        "input_tokens_details": {name: counts[name] for name in _DETAILS["input_tokens_details"]},
        "output_tokens": counts["output_tokens"],
        "output_tokens_details": {name: counts[name] for name in _DETAILS["output_tokens_details"]},
        "total_tokens": counts["total_tokens"],
    }


def counts_of_call(usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the flat counts of one model call. usage: the provider's; what it lacks counts as 0."""
    counts = {"model_calls": 1, **{name: usage.get(name) or 0 for name in _TOKENS}}
    for details, names in _DETAILS.items():
        counts |= {name: (usage.get(details) or {}).get(name) or 0 for name in names}
    return counts


def _added(counts: Mapping[str, Any], others: Mapping[str, Any], sign: int) -> dict[str, Any]:
    """Return the sums, or with sign -1 the differences, of two trees of counts."""
    result = dict(counts)
    for name, value in others.items():
        if isinstance(value, Mapping):
            result[name] = _added(counts.get(name) or {}, value, sign)
        else:
            result[name] = (counts.get(name) or 0) + sign * value
    return result
