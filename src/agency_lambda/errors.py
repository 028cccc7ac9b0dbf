"""What can go wrong. src/agency_lambda/exception_handlers.py turns it into answers.

ServiceError
 ├─ InvalidRequest           what was sent cannot be done
 │   └─ InvalidJSON          what was sent cannot be read
 ├─ UnsupportedParameter     it could be elsewhere, but is not done here
 ├─ Unauthenticated          nobody
│   ├─ InvalidCredentials nobody that is known
 │   └─ SignatureMissing          nobody, where AWS credentials sign
 ├─ HostNotAllowed           without keys only this machine is answered
 ├─ NotFound                 or somebody else's
 │   └─ UnknownName          an agency or agent that is not there
 ├─ PayloadTooLarge
 ├─ ConversationBusy         two runs on one conversation
 ├─ IdempotencyKeyReused     for another request
 ├─ GuardrailTriggered       the agency's own guardrail refused
 ├─ StoreUnavailable
 │   └─ OutcomeUnknown       it went away when something may have been done
 ├─ SecretUnavailable        what Secrets Manager holds could not be read
 ├─ IssuerUnavailable        who issues tokens could not be asked for his keys
 ├─ Interrupted              the run was stopped from outside
 ├─ OutOfTime                the invocation ends before the run does
 ├─ AttemptsExhausted                  begun again too often
 ├─ UpstreamFailed           the model, or what stands behind it
 │   ├─ ModelTimeout         it was silent for too long
 │   ├─ ModelRateLimited     it is asked too often
 │   ├─ ModelUnauthorized    the service's key is not accepted
 │   ├─ ModelOutOfQuota      the service's account is used up
 │   ├─ ModelNotFound        the provider has no such model
 │   ├─ ModelRefusedRequest  the provider does not take the question
 │   ├─ ContextLengthExceeded
 │   └─ ContentRefused       by the provider's filter
 ├─ AnswerTooLarge           what was made cannot be sent back
 ├─ InvalidOutput            the last words have not the form of the agent's output_type
 ├─ RunLimitExceeded         too many model calls
 ├─ LoopMisused              synchronous code entered the running event loop, in strict mode
 ├─ AgencyNotConfigured      it lacks an environment variable
 └─ AgencyMisconfigured      a defect in `agents/`
"""

from collections.abc import Iterator, Mapping

INTERNAL = "The service failed to answer. The request id finds it in the log."
NO_ANSWER = "The model did not answer as it should. The request id finds the reason in the log."


class Interruption(BaseException):
    """Ends a run, or a part of it, past every `except Exception` on the way: the framework makes texts of those."""


class ServiceError(Exception):
    """`str(error)` is public. For /v1: `param` is the field that is wrong, `code` is more exact than `kind`.

    openai_code: what a response says of it in OpenAI's words, beside `kind`.
    after: seconds until the client may ask again, 0 where nobody knows.
    begun: whether something may have been done already, so that clients must not repeat a POST by themselves.
    """

    status, kind, openai_code = 500, "internal_error", "server_error"
    retry_after = 0.0
    safe_to_retry = False

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param, self.code = param, code or self.kind


class InvalidRequest(ServiceError):
    """What was sent does not fit together, or not what is there."""

    status, kind = 400, "invalid_request"


class InvalidJSON(InvalidRequest):
    """The body is not JSON."""

    kind = "invalid_json"


class UnsupportedParameter(ServiceError):
    """A parameter, or a value of it, that this service does not honour: refused, never ignored."""

    status, kind = 400, "unsupported_parameter"


class Unauthenticated(ServiceError):
    """Who calls did not say who it is. challenge: how to say it, as the header WWW-Authenticate."""

    status, kind = 401, "unauthenticated"
    challenge = "Bearer"


class InvalidCredentials(Unauthenticated):
    """A key that nobody has, or a token that is not valid here."""

    challenge = 'Bearer error="invalid_token"'


class SignatureMissing(Unauthenticated):
    """No AWS principal has signed the request."""

    challenge = "AWS4-HMAC-SHA256"


class HostNotAllowed(ServiceError):
    """Nobody needs a key here, so only this machine is answered."""

    status, kind = 403, "host_not_allowed"


class NotFound(ServiceError):
    """Not there, or another owner's: the two look alike."""

    status, kind = 404, "not_found"


class UnknownName(NotFound):
    """No agency or agent has this name."""


class PayloadTooLarge(ServiceError):
    """The request body is over the limit."""

    status, kind = 413, "payload_too_large"


class ConversationBusy(ServiceError):
    """Another run has added to the conversation since this one loaded it."""

    status, kind = 409, "conversation_busy"
    run_id: str | None = None  # the run that has its turn


class IdempotencyKeyReused(ServiceError):
    """The idempotency key belongs to a request that said something else."""

    status, kind = 409, "idempotency_key_reused"


class GuardrailTriggered(ServiceError):
    """A guardrail of the agency refused the message or the answer."""

    status, kind = 422, "guardrail_triggered"


class StoreUnavailable(ServiceError):
    """The store could not be read or written. Nothing has begun."""

    status, kind = 503, "store_unavailable"
    retry_after, safe_to_retry = 5.0, True


class OutcomeUnknown(StoreUnavailable):
    """The store could not be read or written, and tools may have acted, or a write may arrive late."""

    retry_after, safe_to_retry = 0.0, False


class SecretUnavailable(ServiceError):
    """What Secrets Manager holds could not be read, and never was."""

    status, kind = 503, "secret_unavailable"
    safe_to_retry = True


class IssuerUnavailable(ServiceError):
    """The issuer of tokens did not give its keys, and never did."""

    status, kind = 503, "issuer_unavailable"
    safe_to_retry = True


class Interrupted(ServiceError):
    """The run was stopped from outside before it was done."""

    status, kind = 503, "interrupted"


class OutOfTime(ServiceError):
    """The invocation ends before the run does, and nobody takes it up."""

    status, kind = 504, "deadline_exceeded"


class AttemptsExhausted(ServiceError):
    """The run was begun again and again, and never came to its end."""

    status, kind = 500, "given_up"


class UpstreamFailed(ServiceError):
    """The model did not answer.

    transient: the same question may be answered later. after: seconds that the provider asks to wait until then.
    """

    status, kind = 502, "upstream_failed"
    transient = True
    public_message = NO_ANSWER


class ModelTimeout(UpstreamFailed):
    """The model said nothing for longer than MODEL_FIRST_BYTE_SECONDS."""

    kind = "model_timeout"
    public_message = "The model was silent for too long."


class ModelRateLimited(UpstreamFailed):
    """The provider is asked more often than the service's account may."""

    status, kind, openai_code = 429, "rate_limited", "rate_limit_exceeded"
    public_message = "The model's provider is asked too often. Try again later."


class ModelUnauthorized(UpstreamFailed):
    """The provider does not accept the service's key, or the key may not use this model."""

    kind, transient = "model_unauthorized", False
    public_message = "The model's provider does not accept the key of this service."


class ModelOutOfQuota(UpstreamFailed):
    """The service's account at the provider is used up, or not paid for."""

    kind, transient = "model_out_of_quota", False
    public_message = "The account of this service at the model's provider is used up."


class ModelNotFound(UpstreamFailed):
    """The provider has no model of this name."""

    kind, transient = "model_not_found", False
    public_message = "The model's provider does not have the model that the agent is configured with."


class ModelRefusedRequest(UpstreamFailed):
    """The provider does not take the question as it is put."""

    kind, transient = "model_refused_request", False
    public_message = "The model's provider refused the request. The request id finds the reason in the log."


class ContextLengthExceeded(UpstreamFailed):
    """What was said is more than the model can read."""

    status, kind, openai_code, transient = 400, "context_length_exceeded", "invalid_prompt", False
    public_message = "The conversation is longer than the model can read. Shorten or compact it."


class ContentRefused(UpstreamFailed):
    """The provider's filter does not let the model read this."""

    status, kind, openai_code, transient = 400, "content_refused", "invalid_prompt", False
    public_message = "The model's provider refused the content of this conversation."


class AnswerTooLarge(ServiceError):
    """What a run has answered, or what is asked for, is larger than an answer may be."""

    status, kind = 500, "answer_too_large"


class InvalidOutput(ServiceError):
    """The model answered, but its answer has not the form of the agent's `output_type`."""

    status, kind = 502, "invalid_output"


class RunLimitExceeded(ServiceError):
    """The run was stopped, because it asked models more often than a run may."""

    status, kind = 502, "run_limit_exceeded"


class LoopMisused(ServiceError):
    """Synchronous code of the agency entered the running event loop, and other code hid the conflict."""

    status, kind = 500, "event_loop_conflict"


class AgencyNotConfigured(ServiceError):
    """An agency lacks an environment variable; the others work. `__cause__` names the variable, for the log."""

    status, kind = 503, "agency_not_configured"


class AgencyMisconfigured(ServiceError):
    """An agency cannot run as it is written; the message says what to change."""

    status, kind = 500, "agency_misconfigured"


def exception_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it was raised from."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def error_field(error: ServiceError) -> dict[str, str]:
    """Return an error as the `error` of a response: `code` is OpenAI's word, `detail_code` ours."""
    return {"code": error.openai_code, "message": str(error), "detail_code": error.kind}


def detail_code(failed: Mapping[str, str]) -> str:
    """Return our word for the `error` of a response; earlier versions had it in `code`."""
    return failed.get("detail_code") or failed["code"]


def error_from_field(failed: Mapping[str, str]) -> ServiceError:
    """Return the error that the `error` of a stored response tells of, to be raised once more."""
    kinds = {error.kind: error for error in _every(ServiceError)}
    return kinds.get(detail_code(failed), ServiceError)(failed["message"])


def _every(kind: type[ServiceError]) -> list[type[ServiceError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _every(child))]
