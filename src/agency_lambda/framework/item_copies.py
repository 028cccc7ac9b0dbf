"""Make the Agents SDK copy plain items without comparing each value with abstract types."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from agents import run_state
from agents.util import _json

from agency_lambda.protocol.copies import LEAVES

# The SDK copies the whole history three times a model call and once a run: a fifth of the CPU of turn 100.


class UnsharedItems(list[Any]):
    """JSON that nothing but one model call holds, so that the SDK need not copy it."""


def install() -> None:
    original = _json._to_dump_compatible_internal
    copy_shared = copier(lambda value: value if type(value) is UnsharedItems else original(value))
    vars(_json)["_to_dump_compatible_internal"] = copy_shared
    vars(run_state)["_clone_original_input"] = copier(deepcopy)


def copier(copy_other: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that copies dicts and lists of JSON values, and leaves others to `copy_other`."""

    def copied(value: Any) -> Any:
        kind = type(value)
        if kind is dict:
            return {name: each if type(each) in LEAVES else copied(each) for name, each in value.items()}
        if kind is list:
            return [each if type(each) in LEAVES else copied(each) for each in value]
        return value if kind in LEAVES else copy_other(value)

    return copied
