"""What is written when an attempt ends its run, or lets it wait for persons."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from agency_lambda.approvals.model import Approval
from agency_lambda.errors import ApprovalNotStored, ServiceError, StoreUnavailable
from agency_lambda.protocol.messages import MessageAnswer
from agency_lambda.protocol.response_object import FINAL, ResponseObject, end_event
from agency_lambda.protocol.types import Item
from agency_lambda.runs import outcome
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.shared_stream import opened
from agency_lambda.runs.transitions import TABLE, RunEvent, State
from agency_lambda.runs.usage import ByModel, PaidCalls
from agency_lambda.runs.waiting import ApprovalPolicy, request_item, wait_in_continuation, wait_in_place
from agency_lambda.store import Change

if TYPE_CHECKING:
    from agency_lambda.framework.execution import AgencyResult
    from agency_lambda.runs.attempt import Attempt
    from agency_lambda.webhooks.model import StoredDelivery

type Announce = Callable[[str, list[str]], Awaitable[StoredDelivery | None]]
"""Gets a status that is about to be written and the ids of new approvals; returns the delivery to write with it."""

type GetPolicy = Callable[[str], ApprovalPolicy]
"""Returns who approves what the agency of a request's `model` asks."""


class Ending:
    """Writes how an attempt ends: with a final response, or with a run that waits."""

    def __init__(self, attempt: "Attempt", announce: Announce | None, approval_policy: GetPolicy | None) -> None:
        self._attempt, self._announce, self._approval_policy = attempt, announce, approval_policy

    async def end(
        self,
        event: RunEvent,
        result: "AgencyResult | None" = None,
        error: ServiceError | None = None,
        approvals: Sequence[Approval] = (),
    ) -> ResponseObject:
        """Write and return the final response. approvals: with which it ends, for RunEvent.ASK."""
        attempt, log = self._attempt, self._attempt.log
        attempt.is_over = True
        log.output.close()
        self._show(approvals)
        status = TABLE[State.HELD, event].status
        final = outcome.final_response(attempt.response, status, log.output, attempt.execution, result, error)
        if approvals and not log.records_events:
            final["output"] = _without_decided(final["output"], approvals)
        if not attempt.has_client:
            final["background"] = True
        paid = self._paid(final["usage"])
        if attempt.child_runs and (more_paid := await attempt.child_runs.end()):
            paid = paid.plus(*more_paid)
        final["usage"], by_model = paid
        if attempt.repository:
            last = log.next(end_event(status), response=final)
            events = [*log.unsaved(), last] if log.records_events else []
            more = await self._announced(status, approvals)
            history = result.history if result else None
            make = partial(wait_in_continuation, approvals=approvals, by_model=by_model, response=final)
            asked = make if approvals else None
            answer = self._answer(result, final, by_model)
            attempt.next_run_id = await attempt.repository.end(
                event, final, history, events, by_model, more, asked, answer
            )
            attempt.answered = attempt.repository.run.stored.sending
            await attempt.show()
            log.mark_saved(len(events))
        attempt.response = final
        log.emit(end_event(status), response=dict(final))
        return final

    def _answer(self, result: "AgencyResult | None", final: ResponseObject, by_model: ByModel) -> MessageAnswer | None:
        if result is None or result.output is None:
            return None
        return MessageAnswer(
            output=result.output,
            memory=result.history,
            items=final["output"],
            usage=final["usage"],
            by_model=by_model,
            shared=result.shared,
        )

    async def wait(self, result: "AgencyResult") -> ResponseObject:
        """Let the run wait: under its own id, or in a new run if a client waits for the response of this one.

        While other agents work for it, its client waits on, and is not asked yet.

        Raises:
            WaitOver: something has come meanwhile.
            ApprovalNotStored: it is not stored.
        """
        attempt, repository = self._attempt, self._attempt.repository
        if repository is None or self._approval_policy is None:
            message = "An agent asks for a person's approval: that needs a response that is stored."
            raise ApprovalNotStored(message, param="store")
        policy = self._approval_policy(attempt.response["model"])
        agents_until = await repository.agents_until() if result.waits_for_agents else None
        in_place = attempt.response["background"] or agents_until is not None
        asks = result.asked if attempt.response["background"] or not in_place else ()
        approvals = await repository.open_approvals(asks, policy)
        attempt.asked = [each for each in approvals if not each.version]
        if in_place:
            return await self._wait_in_place(repository, approvals, agents_until)
        return await self.end(RunEvent.ASK, result, approvals=approvals)

    async def _wait_in_place(
        self, repository: RunRepository, approvals: Sequence[Approval], agents_until: float | None
    ) -> ResponseObject:
        attempt, log = self._attempt, self._attempt.log
        self._show(approvals)
        waiting = outcome.waiting_response(attempt.response, log.output, attempt.execution)
        waiting["usage"], by_model = self._paid(waiting["usage"])
        attempt.is_over, events = True, log.unsaved()
        more = [*await self._announced("in_progress", attempt.asked)]
        if agents_until is not None:
            more += opened(repository.run, len(log.events), len(log.output.items))
        await repository.wait(waiting, events, wait_in_place(approvals, agents_until), by_model, more)
        await attempt.show()
        if agents_until is not None:
            with suppress(StoreUnavailable):
                await repository.show_asked()
        log.mark_saved(len(events))
        return waiting

    def _show(self, approvals: Sequence[Approval]) -> None:
        for each in approvals:
            self._attempt.log.output.open(request_item(each), each.id).close()

    async def _announced(self, status: str, approvals: Sequence[Approval]) -> Sequence[Change]:
        repository = self._attempt.repository
        # A child run's owner hears of its root, whose export has its spans.
        is_child = repository is not None and repository.run.stored.sending is not None
        if self._announce is None or not (approvals or (status in FINAL and not is_child)):
            return ()
        delivery = self._attempt.delivery = await self._announce(status, [each.id for each in approvals])
        return delivery.new_changes() if delivery else ()

    def _paid(self, usage: dict[str, Any]) -> PaidCalls:
        """Return what the run has paid for without those that it continues. usage: of all that its journal knows."""
        attempt = self._attempt
        by_model = attempt.execution.usage_by_model() if attempt.execution else {}
        paid = attempt.paid or PaidCalls(usage, by_model)
        so_far = attempt.repository.run.stored.continues if attempt.repository else None
        return paid.minus(so_far.usage, so_far.by_model) if so_far else paid


def _without_decided(output: list[Item], approvals: Sequence[Approval]) -> list[Item]:
    # Child runs asked before: a client that answers every request in the output answers open ones only.
    still_open = {each.id for each in approvals}
    return [item for item in output if item["type"] != "mcp_approval_request" or item["id"] in still_open]
