"""One model call of a run, journaled before its answer is used."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Self

from agents import Model, ModelResponse
from agents.models.fake_id import FAKE_RESPONSES_ID
from openai.types.responses import ResponseStreamEvent

from agency_lambda.errors import BudgetExceeded, ServiceError, StoreUnavailable
from agency_lambda.framework.call_journal import JournaledCall, ModelCallJournal
from agency_lambda.framework.interruptions import AnswerNotStored
from agency_lambda.framework.model_call_recorder import ModelCallRecorder
from agency_lambda.framework.models import (
    AnswerIncomplete,
    FetchFile,
    Meter,
    ModelAnswer,
    ModelRequest,
    ModelUnavailable,
)
from agency_lambda.framework.public_items import container_citations
from agency_lambda.framework.reserved_call import ReservedCall
from agency_lambda.framework.spending import CallRefused, Spending
from agency_lambda.history import is_call

type SaveCited = Callable[[str, Sequence[Any], FetchFile], Awaitable[Mapping[str, Any]]]
"""Stores what the items of an answer cite: (key of the call, items, fetch) -> a provider's id: the file here."""


# A class, as an asynchronous generator is closed with its request while others still wait in it.
class ModelCall:
    """Implements `ModelCallProtocol`. is_colleague: another agent reads the answer."""

    def __init__(
        self,
        call: JournaledCall,
        recording: AbstractContextManager[ModelCallRecorder],
        journal: ModelCallJournal,
        meter: Meter,
        *,
        authorize: Callable[[], Awaitable[None]],
        is_colleague: bool,
        spending: Spending | None = None,
        save_cited: SaveCited,
    ) -> None:
        self._call, self._key, self._recording = call, call.key, recording
        self._journal, self._meter, self._authorize = journal, meter, authorize
        self._is_colleague, self._is_answered, self._save_cited = is_colleague, False, save_cited
        self.fetch: FetchFile | None = None
        self._reserved = ReservedCall(spending)
        self._announced: dict[int, tuple[str, str]] = {}  # output index -> the provider's call id, the run's own

    async def __aenter__(self) -> Self:
        await self._authorize()
        if failure := self._journal.find_failure(self._key):
            self._meter.replay_failure()
            raise failure
        self._recorder = self._recording.__enter__()
        self._entry = self._journal.find(self._call)
        self.recorded = self._entry.answered if self._entry else None
        return self

    async def __aexit__(self, *failure: Any) -> None:
        self._recording.__exit__(*failure)
        if isinstance(failure[1], ModelUnavailable):
            await self._reserved.release_if_free()
            self._journal.note_failure(self._call, failure[1])
        elif self._entry is None and not self._is_answered:
            self._journal.release(self._key)

    async def reserve(self, model: Model, request: ModelRequest, *args: Any, **server_state: Any) -> ModelRequest:
        try:
            return await self._reserved.reserve(model, request, *args, **server_state)
        except StoreUnavailable as error:
            raise AnswerNotStored from error
        except ServiceError as error:
            self._meter.model_calls -= 1  # it is not made
            if isinstance(error, BudgetExceeded):
                raise AnswerIncomplete("max_output_tokens", error.kind) from error
            raise CallRefused(error) from error

    def record_event(self, event: ResponseStreamEvent) -> None:
        if event.type == "response.output_item.added" and is_call(event.item.type):
            item: Any = event.item
            # The call gets the id that it will have in the answer.
            if event.output_index not in self._announced:
                self._announced[event.output_index] = item.call_id, self._claim(item.call_id, len(self._announced))
            item.call_id = self._announced[event.output_index][1]
        self._recorder.record_event(event)

    async def record_answer(self, answer: ModelAnswer) -> ModelAnswer:
        entry = self._entry
        if entry is None:
            answer = replace(answer, response=self._with_own_ids(answer.response))
            self._recorder.assign_ids(answer.response.output)
            entry = await self._journal.save_answer(self._call, answer, self._recorder.ids, self._reserved.reservation)
            self._is_answered = True
        self._recorder.ids = entry.ids
        if self.fetch and self._recorder.for_user and container_citations(entry.answered.response.output):
            ids = await self._save_cited(self._key, entry.answered.response.output, self.fetch)
            self._recorder.note_fetched(ids)
        self._recorder.record_answer(entry.answered.response.output, entry.answered.incomplete)
        usable = entry.answered if entry.answered.complete else self._text_only(entry.answered)
        self._journal.note_usable(self._key, usable.response.output)
        return usable

    def _claim(self, call_id: str, number: int) -> str:
        return self._journal.call_ids.claim(call_id, f"{self._key}/{number}")

    def _with_own_ids(self, response: ModelResponse) -> ModelResponse:
        # Item and call ids become unique in the run.
        # The SDK drops all but the last item of an id, and a model may return its objects again.
        announced, output = [*self._announced.values()], list[Any]()
        items: list[Any] = response.output
        for number, item in enumerate(items):
            item = self._with_own_id(item, number)
            if is_call(item.type):
                known = [ids for ids in announced if item.call_id in ids] or [ids for ids in announced if not ids[0]]
                if known:
                    announced.remove(known[0])
                claimed = known[0][1] if known else self._claim(item.call_id, len(self._announced) + number)
                item = item if claimed == item.call_id else item.model_copy(update={"call_id": claimed})
            output.append(item)
        return replace(response, output=output)

    def _with_own_id(self, item: Any, number: int) -> Any:
        item_id = getattr(item, "id", None)
        if item_id is None or item_id == FAKE_RESPONSES_ID:  # items of Chat Completions have none
            return item
        own = self._journal.item_ids.claim(item_id, f"{self._key}/{number}")
        return item if own == item_id else item.model_copy(update={"id": own})

    def _text_only(self, answer: ModelAnswer) -> ModelAnswer:
        # Nothing but text is used of an incomplete answer, and for a colleague not even that.
        items = [] if self._is_colleague else answer.response.output
        output: list[Any] = [item for item in items if item.type == "message" and _text(item.content)]
        return replace(answer, response=replace(answer.response, output=output))


def _text(content: Sequence[Any]) -> str:
    return "".join(getattr(part, "text", None) or getattr(part, "refusal", None) or "" for part in content)
