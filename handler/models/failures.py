"""When the model does not answer: one exception, known again under whatever the framework wraps around it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from agents import ModelBehaviorError
from openai import APIError
from pydantic import ValidationError

# The last two: a 200 that is no model's answer (a proxy's web page) fails wherever the SDK first reads it.
_PROVIDER_FAILURES = (
    *(APIError, httpx.HTTPError, ModelBehaviorError, json.JSONDecodeError),
    *(AttributeError, ValidationError),
)


class ModelUnavailable(RuntimeError):
    """The model refused, broke off or could not be reached. `__cause__` is what the provider said.

    The text is fixed. The provider's own may name keys and accounts, and the framework hands the text of an
    error to other agents (as a tool's output) and to clients (as a stream's error event).
    """

    TEXT = "The model is unavailable."

    def __init__(self) -> None:
        super().__init__(self.TEXT)


@contextmanager
def provider_failures() -> Iterator[None]:
    """Around one call of a model, and nothing else: httpx errors of a tool are not the model's."""
    try:
        yield
    except _PROVIDER_FAILURES as error:
        raise ModelUnavailable from error


def is_upstream_failure(failure: BaseException) -> bool:
    """Was it the model that failed, and not the agency's code? The framework may have wrapped the exception."""
    # ModelBehaviorError: the model answered, but called a tool that is not there or broke the output's type.
    return caused_by(failure, ModelUnavailable, ModelBehaviorError)


def caused_by(failure: BaseException, *kinds: type[BaseException]) -> bool:
    """Whether an exception, or what it was raised from, is one of `kinds`: the framework wraps what agents raise."""
    seen: set[int] = set()
    link: BaseException | None = failure
    while link is not None and id(link) not in seen and not isinstance(link, kinds):
        seen.add(id(link))
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return isinstance(link, kinds)
