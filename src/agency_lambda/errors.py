"""The failures of the service, with their HTTP status. `exception_handlers` turns them into responses."""

# ServiceError 500
#  ├─ InvalidRequest 400
#  │   ├─ InvalidJSON 400
#  │   ├─ UnboundedCost 400        nothing bounds what a model call may cost, and its owner has a budget
#  │   ├─ ApprovalNotStored 400    a person is asked, and the response is not stored
#  │   ├─ FileQuotaExceeded 400    the owner has as many files, or bytes of them, as it may
#  │   └─ RunUnanswered 400        the run has no answer for a protocol that knows answers and errors only
#  │       ├─ RunGoesOn 400        it takes longer than this request may
#  │       ├─ ApprovalRequired 400 a person has to decide first
#  │       └─ RunCancelled 400
#  ├─ UnsupportedParameter 400     refused rather than ignored
#  ├─ Unauthenticated 401          no credentials
#  │   ├─ InvalidCredentials 401   an unknown key, or a token that is not valid here
#  │   └─ SignatureMissing 401     no AWS principal has signed the request
#  ├─ HostNotAllowed 403           AUTH=none, and the caller is not on this machine
#  ├─ OperatorRequired 403         the caller is no operator
#  ├─ ApproverRequired 403         the caller may not decide this approval
#  ├─ NotFound 404                 also what belongs to another owner
#  │   ├─ UnknownName 404          no agency or agent has this name
#  │   └─ FilesNotConfigured 404   FILES is not set
#  ├─ PayloadTooLarge 413
#  ├─ BudgetExceeded 429           the next model call may cost more than is left of a budget
#  ├─ TooManyRuns 429              the owner has as many runs at once as it may
#  ├─ ConversationBusy 409         another run has added to the conversation meanwhile
#  ├─ ApprovalDecided 409          somebody else has decided, or its run has ended
#  ├─ IdempotencyKeyReused 409     the key was sent with another request
#  ├─ GuardrailTriggered 422       a guardrail of the agency refused the input or the output
#  ├─ StoreUnavailable 503         nothing has begun
#  │   ├─ OutcomeUnknown 503       tools may have acted, or a write may arrive late
#  │   └─ FilesUnavailable 503     the storage of files fails
#  ├─ SecretUnavailable 503        Secrets Manager failed, and no older value is cached
#  ├─ IssuerUnavailable 503        the JWT issuer failed, and no older keys are cached
#  ├─ Interrupted 503              the run was cancelled, or its process ends
#  ├─ OutOfTime 504                the invocation ends first, and no worker will resume the run
#  ├─ AttemptsExhausted 500        every attempt at the run was interrupted
#  ├─ UpstreamFailed 502           the model's provider failed
#  │   ├─ ModelTimeout 502         no byte for MODEL_FIRST_BYTE_SECONDS
#  │   ├─ ModelRateLimited 429
#  │   ├─ ModelUnauthorized 502    the provider refuses the service's key
#  │   ├─ ModelOutOfQuota 502
#  │   ├─ ModelNotFound 502
#  │   ├─ ModelRefusedRequest 400  its request cannot succeed as it is: clients repeat what is 5xx by themselves
#  │   ├─ ContextLengthExceeded 400
#  │   ├─ ContentRefused 400       by the provider's filter
#  │   └─ LinkNotReadable 400      the provider cannot fetch, or not read, what a link of the request points to
#  ├─ AnswerTooLarge 500           the result is larger than a Lambda response may be
#  ├─ InvalidOutput 502            the answer does not match the agent's `output_type`
#  ├─ RunLimitExceeded 400         too many model calls, which are paid: another run would make as many
#  ├─ LoopMisused 500              EVENT_LOOP=strict, and synchronous code has entered the running loop
#  ├─ AgencyNotConfigured 503      an environment variable is missing; `__cause__` names it
#  └─ AgencyMisconfigured 500      a defect in `agents/`; the message says what to change

from collections.abc import Iterator, Mapping
from typing import Any

INTERNAL = "The service failed to answer. The request id finds it in the log."
LINKS_REFUSED = "Only where OpenAI itself fetches it a link can be sent: send a data URL, or a file_id."
NO_FILES = "No files are kept here: FILES, where they would be, is not set."
NO_ANSWER = "The model did not answer as it should. The request id finds the reason in the log."


class Interruption(BaseException):
    """Ends a run. The framework cannot catch it with `except Exception`."""


class ServiceError(Exception):
    """A failure whose text is public. `param` names the field that is wrong."""

    details: Mapping[str, Any] = {}  # more fields of an error under /v1

    status = 500
    kind = "internal_error"  # the code of HTTP errors, and the `detail_code` of a response's error
    openai_code = "server_error"  # the `code` of a response's error
    retry_after = 0.0  # seconds; 0 if unknown
    safe_to_retry = False  # whether nothing can have happened yet, so that clients may repeat a POST

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param, self.code = param, code or self.kind


class InvalidRequest(ServiceError):
    status, kind = 400, "invalid_request"


class InvalidJSON(InvalidRequest):
    kind = "invalid_json"


class UnboundedCost(InvalidRequest):
    kind = "unbounded_cost"


class ApprovalNotStored(InvalidRequest):
    kind = "approval_not_stored"


class FileQuotaExceeded(InvalidRequest):
    kind = "file_quota_exceeded"


class RunUnanswered(InvalidRequest):
    """details: the response where the answer will be found."""

    # AI SDK repeats a 408, 409, 429 and 5xx, LangChain.js all but 400 to 407 and 409, and each would be another run.
    kind = "run_unanswered"

    def __init__(self, message: str, response_id: str = "", **details: Any) -> None:
        super().__init__(message)
        self.details = {"response_id": response_id, **details}


class RunGoesOn(RunUnanswered):
    kind = "run_goes_on"


class ApprovalRequired(RunUnanswered):
    kind = "approval_required"


class RunCancelled(RunUnanswered):
    kind = "run_cancelled"


class UnsupportedParameter(ServiceError):
    status, kind = 400, "unsupported_parameter"


class Unauthenticated(ServiceError):
    status, kind = 401, "unauthenticated"
    challenge = "Bearer"  # the header WWW-Authenticate


class InvalidCredentials(Unauthenticated):
    challenge = 'Bearer error="invalid_token"'


class SignatureMissing(Unauthenticated):
    challenge = "AWS4-HMAC-SHA256"


class HostNotAllowed(ServiceError):
    status, kind = 403, "host_not_allowed"


class OperatorRequired(ServiceError):
    status, kind = 403, "operator_required"


class ApproverRequired(ServiceError):
    status, kind = 403, "approver_required"


class NotFound(ServiceError):
    status, kind = 404, "not_found"


class UnknownName(NotFound):
    pass


class FilesNotConfigured(NotFound):
    kind = "files_not_configured"


class PayloadTooLarge(ServiceError):
    status, kind = 413, "payload_too_large"


class BudgetExceeded(ServiceError):
    status, kind, openai_code = 429, "budget_exceeded", "rate_limit_exceeded"


class TooManyRuns(ServiceError):
    status, kind, openai_code = 429, "too_many_runs", "rate_limit_exceeded"
    retry_after = 5.0


class ConversationBusy(ServiceError):
    status, kind = 409, "conversation_busy"
    run_id: str | None = None  # the run that holds the lock of the conversation


class ApprovalDecided(ServiceError):
    status, kind = 409, "approval_decided"


class IdempotencyKeyReused(ServiceError):
    status, kind = 409, "idempotency_key_reused"


class GuardrailTriggered(ServiceError):
    status, kind = 422, "guardrail_triggered"


class StoreUnavailable(ServiceError):
    status, kind = 503, "store_unavailable"
    retry_after, safe_to_retry = 5.0, True


class OutcomeUnknown(StoreUnavailable):
    retry_after, safe_to_retry = 0.0, False


class FilesUnavailable(StoreUnavailable):
    kind = "files_unavailable"


class SecretUnavailable(ServiceError):
    status, kind, safe_to_retry = 503, "secret_unavailable", True


class IssuerUnavailable(ServiceError):
    status, kind, safe_to_retry = 503, "issuer_unavailable", True


class Interrupted(ServiceError):
    status, kind = 503, "interrupted"


class OutOfTime(ServiceError):
    status, kind = 504, "deadline_exceeded"


class AttemptsExhausted(ServiceError):
    status, kind = 500, "given_up"


class UpstreamFailed(ServiceError):
    status, kind = 502, "upstream_failed"
    transient = True  # whether the same call may succeed later
    public_message = NO_ANSWER


class ModelTimeout(UpstreamFailed):
    kind = "model_timeout"
    public_message = "The model was silent for too long."


class ModelRateLimited(UpstreamFailed):
    status, kind, openai_code = 429, "rate_limited", "rate_limit_exceeded"
    public_message = "The model's provider is asked too often. Try again later."


class ModelUnauthorized(UpstreamFailed):
    kind, transient = "model_unauthorized", False
    public_message = "The model's provider does not accept the key of this service."


class ModelOutOfQuota(UpstreamFailed):
    kind, transient = "model_out_of_quota", False
    public_message = "The account of this service at the model's provider is used up."


class ModelNotFound(UpstreamFailed):
    kind, transient = "model_not_found", False
    public_message = "The model's provider does not have the model that the agent is configured with."


class ModelRefusedRequest(UpstreamFailed):
    status, kind, openai_code, transient = 400, "model_refused_request", "invalid_prompt", False
    public_message = "The model's provider refused the request. The request id finds the reason in the log."


class ContextLengthExceeded(UpstreamFailed):
    status, kind, openai_code, transient = 400, "context_length_exceeded", "invalid_prompt", False
    public_message = "The conversation is longer than the model can read. Shorten or compact it."


class ContentRefused(UpstreamFailed):
    status, kind, openai_code, transient = 400, "content_refused", "invalid_prompt", False
    public_message = "The model's provider refused the content of this conversation."


class LinkNotReadable(UpstreamFailed):
    status, kind, openai_code, transient = 400, "link_not_readable", "invalid_prompt", False
    public_message = "The model's provider could not read what a link in the input points to."


class AnswerTooLarge(ServiceError):
    status, kind = 500, "answer_too_large"


class InvalidOutput(ServiceError):
    status, kind = 502, "invalid_output"


class RunLimitExceeded(ServiceError):
    status, kind = 400, "run_limit_exceeded"


class LoopMisused(ServiceError):
    status, kind = 500, "event_loop_conflict"


class AgencyNotConfigured(ServiceError):
    status, kind = 503, "agency_not_configured"


class AgencyMisconfigured(ServiceError):
    status, kind = 500, "agency_misconfigured"


def exception_chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def detail_code(field: Mapping[str, str]) -> str:
    # Earlier versions stored it in `code`.
    return field.get("detail_code") or field["code"]
