"""When the model does not answer: one exception, known again under whatever the framework wraps around it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
from agents import ModelBehaviorError
from openai import APIConnectionError, APIError
from pydantic import ValidationError

from handler.errors import Interruption, chain
from handler.models.sdk_patches import Reason

# The last two: a 200 that is no model's answer (a proxy's web page) fails wherever the SDK first reads it.
_PROVIDER_FAILURES = (
    *(APIError, httpx.HTTPError, ModelBehaviorError, json.JSONDecodeError),
    *(AttributeError, ValidationError),
)
_PASSING = (408, 409, 425, 429)  # HTTP statuses, beside those of a server that failed
#: of an account, a model or a question, however the question is put
LASTING_CODES = frozenset(
    {
        *("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated"),
        *("context_length_exceeded", "model_not_found", "content_policy_violation"),
    }
)
_FINAL_CODES = LASTING_CODES | {
    *("unsupported_parameter", "permission_error", "authentication_error", "access_terminated"),
}


class ModelUnavailable(RuntimeError):
    """The model refused, broke off or could not be reached. `__cause__` is what the provider said.

    The text is fixed. The provider's own may name keys and accounts, and the framework hands the text of an
    error to other agents (as a tool's output) and to clients (as a stream's error event).
    """

    TEXT = "The model is unavailable."

    def __init__(self, *, passing: bool = True, retry_after: float = 0.0) -> None:
        """passing: the same question may be answered later. retry_after: seconds that the provider asks for."""
        super().__init__(self.TEXT)
        self.passing, self.retry_after = passing, retry_after


class AnswerIncomplete(Interruption):
    """A model's answer was broken off before it said anything that can be used: the run ends with that.

    As a text, the calling agent would act on half an answer.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


@contextmanager
def provider_failures() -> Iterator[None]:
    """Around one call of a model, and nothing else: httpx errors of a tool are not the model's."""
    try:
        yield
    except _PROVIDER_FAILURES as error:
        raise ModelUnavailable(passing=is_passing(error), retry_after=_retry_after(error)) from error


def is_passing(error: BaseException) -> bool:
    """Return whether the same question may be answered later. A wrong key, or too long a context, stays so."""
    if not isinstance(error, APIError) or isinstance(error, APIConnectionError):
        return True  # the connection, or a page that is no answer
    status = getattr(error, "status_code", None)
    if status is None:  # it came in a stream
        return not (is_final_code(error.code) or is_final_code(error.type))
    known = {str(error.code), str(error.type)}
    return not known & _FINAL_CODES and (status in _PASSING or status >= 500)


def is_final_code(code: object) -> bool:
    """Return whether a provider's code for a failure says that the same question will fail again."""
    return str(code) in _FINAL_CODES or str(code).startswith("invalid_")


def _retry_after(error: BaseException) -> float:
    """Return the seconds that the provider asks to wait, 0 where it does not say."""
    response = getattr(error, "response", None)
    said = response.headers.get("retry-after", "0") if response is not None else "0"
    with suppress(ValueError):  # or a date, which no provider is known to send
        return max(0.0, float(said))
    return 0.0


def is_upstream_failure(failure: BaseException) -> bool:
    """Was it the model that failed, and not the agency's code? The framework may have wrapped the exception."""
    # ModelBehaviorError: the model answered, but called a tool that is not there or broke the output's type.
    return caused_by(failure, ModelUnavailable, ModelBehaviorError)


def caused_by(failure: BaseException, *kinds: type[BaseException]) -> bool:
    """Whether an exception, or what it was raised from, is one of `kinds`: the framework wraps what agents raise."""
    return cause(failure, *kinds) is not None


def cause[Kind: BaseException](failure: BaseException, *kinds: type[Kind]) -> Kind | None:
    """Return the first of an exception and what it was raised from that is one of `kinds`."""
    return next((link for link in chain(failure) if isinstance(link, kinds)), None)
