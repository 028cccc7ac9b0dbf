"""What ends a model call without a usable answer, and how the agents' code may have wrapped it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from agents import AgentsException, ModelBehaviorError

from agency_lambda.errors import Interruption, UpstreamFailed, exception_chain
from agency_lambda.framework.models.endings import Reason
from agency_lambda.framework.models.failure_kinds import Kind, is_transient, kind_of, retry_after
from lambda_loop import EventLoopError


class RunLimit(RuntimeError):
    pass


class ModelUnavailable(RuntimeError):
    """The model refused, broke off or could not be reached. `__cause__` is the provider's error."""

    # Fixed: the provider's own text may name keys, and the framework shows an error's text to agents and clients.
    TEXT = "The model is unavailable."

    def __init__(self, *, transient: bool | None = None, retry_after: float = 0.0, kind: Kind = UpstreamFailed) -> None:
        """transient: the same request may succeed later. retry_after: seconds."""
        super().__init__(self.TEXT)
        self.kind, self.transient = kind, kind.transient if transient is None else transient
        self.retry_after = retry_after

    def record(self) -> dict[str, Any]:
        return {"kind": self.kind.__name__, "passing": self.transient, "retry_after": self.retry_after}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        # A kind that this version does not know becomes UpstreamFailed.
        kinds: list[Kind] = UpstreamFailed.__subclasses__()
        kind = next((kind for kind in kinds if kind.__name__ == record["kind"]), UpstreamFailed)
        return cls(kind=kind, transient=record["passing"], retry_after=record["retry_after"])

    def failure(self) -> UpstreamFailed:
        failed = self.kind(self.kind.public_message)
        failed.transient, failed.retry_after = self.transient, self.retry_after
        return failed


class AnswerIncomplete(Interruption):
    """A model's answer was broken off before any usable item, or not asked for; the run ends. detail: our word."""

    def __init__(self, reason: Reason, detail: str | None = None) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.detail = detail


# Raised within a model of the agency's own, which asks others: known elsewhere by what they are.
_OTHERS = (ModelUnavailable, RunLimit, EventLoopError, AgentsException)


@contextmanager
def provider_failures() -> Iterator[None]:
    """Raise `ModelUnavailable` for an exception of one model call. Wrap nothing else in it."""
    try:
        yield
    except Exception as error:
        broken = isinstance(error, ModelBehaviorError)  # the SDK makes it of an answer that is none
        if not broken and (isinstance(error, _OTHERS) or _is_defect(error)):
            raise
        raise ModelUnavailable(
            kind=kind_of(error), transient=broken or is_transient(error), retry_after=retry_after(error)
        ) from error


def _is_defect(error: Exception) -> bool:
    # Attributes are missing on a page that is no answer; other builtin errors are the code's own.
    return type(error).__module__ == "builtins" and not isinstance(error, OSError | AttributeError)


def is_upstream_failure(failure: BaseException) -> bool:
    """Return whether the model failed, and not the agency's code."""
    # ModelBehaviorError: the model answered, but called a tool that is not there or broke the output's type.
    return caused_by(failure, ModelUnavailable, ModelBehaviorError)


def caused_by(failure: BaseException, *kinds: type[BaseException]) -> bool:
    return cause(failure, *kinds) is not None


def cause[Kind: BaseException](failure: BaseException, *kinds: type[Kind]) -> Kind | None:
    """Return the first of an exception and its causes that is of `kinds`."""
    return next((link for link in exception_chain(failure) if isinstance(link, kinds)), None)
