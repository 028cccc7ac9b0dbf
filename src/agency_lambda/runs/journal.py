"""The answers of a stored run, each stored before its use, so that no attempt repeats a call."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import count
from typing import Any

from agency_lambda.framework.call_journal import JournaledCall
from agency_lambda.framework.models import ModelAnswer, ModelRequest, ModelUnavailable
from agency_lambda.framework.models.serialized_answer import dump_answer, load_answer
from agency_lambda.framework.spending import Reservation
from agency_lambda.framework.tool_output import from_journal_body, to_journal_body
from agency_lambda.history import UniqueIds, is_call
from agency_lambda.protocol.approvals import Decision
from agency_lambda.protocol.journal_keys import Row
from agency_lambda.protocol.surrogates import replace_surrogates
from agency_lambda.runs import journal_rows
from agency_lambda.runs.call_keys import ModelCallKeys
from agency_lambda.runs.journal_rows import digest
from agency_lambda.runs.journal_store import JournalStore
from agency_lambda.runs.model import response_partition
from agency_lambda.runs.tool_call_limit import ToolCallLimit
from agency_lambda.store import Store


@dataclass(frozen=True)
class Entry:
    answered: ModelAnswer
    ids: dict[int, str]


class Journal:
    """The rows of one run as an attempt uses them.

    store: None if the run is not stored. keeps_prompts: for operators' traces. asked: keys of open approvals.
    counted_in: the partition that counts the tool calls of several runs together; "" where this one is alone.
    """

    def __init__(
        self,
        store: Store | None,
        owner: str,
        run_id: str,
        call_ids: UniqueIds | None = None,
        *,
        attempt: int = 1,
        keeps_prompts: bool = True,
        asked: Collection[str] = (),
        counted_in: str = "",
    ) -> None:
        self.attempt, self._keeps_prompts, self._asked = attempt, keeps_prompts, frozenset(asked)
        self.call_ids, self.item_ids = call_ids or UniqueIds(), UniqueIds(field="id")
        self._numbers = count()
        self._calls: dict[str, str] = {}  # a call's id, which is unique in the run -> the answer's key and its place
        self._begun: set[str] = set()  # keys of answers whose calls have begun
        self._usable: list[tuple[Any, str]] = []  # (output list given to the SDK, key of its journal row)
        self._by_call_ids = False  # an earlier version of this service has begun the run
        self._stored = JournalStore(store, response_partition(owner, run_id))
        self._limit = ToolCallLimit(self._stored, counted_in)
        self._keys = ModelCallKeys()
        self._prompts: set[str] = set()  # digests of the instructions that a row of the run has
        self._failures: list[tuple[ModelUnavailable, str]] = []  # and the keys of their model calls
        self.pending: dict[str, dict[str, Any]] = {}  # model calls without an answer yet, which the heartbeat stores
        self._replayed: set[str] = set()
        self.hits = 0
        self.has_asked = False  # whether earlier attempts have asked a person anything

    async def load(self) -> None:
        await self._stored.load()
        self._limit.restore()
        # Unique also after attempts that handed over, which do not increase lease.attempts.
        self.attempt = max(self.attempt, *(1 + body.get("attempt", 0) for body in self._rows.values()), 0)
        bodies = [self._rows[key] for key in self._stored.keys(Row.MODEL)]
        self._prompts = {body["instructions_digest"] for body in bodies if "instructions" in body}
        self._by_call_ids = any("within" not in body for body in bodies)
        self.has_asked = bool(self._asked or self._stored.keys(Row.DECISION))
        # With rows of @once or of messages, changed tools must not give a call a new key: it would be made again.
        has_begun = bool(self._stored.keys(Row.ONCE) or self._stored.keys(Row.MESSAGE))
        self._keys.restore(self._rows, ignores_tools=self.has_asked or has_begun)
        answers = [body["response"]["output"] for body in bodies]
        for ids in (self.call_ids, self.item_ids):
            ids.restore(item for output in answers for item in output)

    @property
    def _is_stored(self) -> bool:
        return self._stored.store is not None

    @property
    def _rows(self) -> dict[str, Any]:
        return self._stored.rows

    @property
    def ids(self) -> set[str]:
        return {item_id for body in self._rows.values() for item_id in body.get("ids", {}).values()}

    @property
    def open_messages(self) -> set[str]:
        """Return the names of messages' rows without an answer."""
        return {key for key in self._stored.keys(Row.MESSAGE) if "output" not in self._rows[key]}

    def unused_messages(self) -> list[dict[str, Any]]:
        """Return, once, the rows of answered messages that this attempt has not come to."""
        answered = {key for key in self._stored.keys(Row.MESSAGE) if "output" in self._rows[key]}
        left = answered - self._replayed
        self._replayed |= left
        return [self._rows[key] for key in left]

    def begin_call(
        self, agent: str, request: ModelRequest, parent: str = "", *, has_own_input: bool = False
    ) -> JournaledCall:
        if not self._is_stored:
            key, items_digest = Row.MODEL.key(str(next(self._numbers))), ""
        else:
            key, items_digest = self._keys.claim(agent, request, "" if self._by_call_ids else parent)
        return JournaledCall(key, agent, request, parent, has_own_input, items_digest)

    def release(self, key: str) -> None:
        """Free the key of a call without an answer."""
        if self._is_stored:
            self._keys.release(key)

    def find(self, call: JournaledCall) -> Entry | None:
        """Return the stored answer; without one the call is pending."""
        if body := self._rows.get(call.key):
            self.hits += 1
            self._replayed.add(call.key)
            return _entry(body)
        self.pending[call.key] = journal_rows.model_call_fields(call, self.attempt)
        return None

    def find_failure(self, key: str) -> ModelUnavailable | None:
        """Return a failure after which an earlier attempt went on."""
        body = None if key in self._rows else self._rows.get(Row.FAILED.key(key))
        if body is None:
            return None
        self.hits += 1
        error = ModelUnavailable.from_record(body)
        self._failures.append((error, key))
        return error

    def note_failure(self, call: JournaledCall, error: ModelUnavailable) -> None:
        if self._is_stored and (fields := self.pending.get(call.key)):
            self._failures.append((error, call.key))
            failed = {**error.record(), **fields, "ended_at": journal_rows.now()}
            self._stored.add_later(Row.FAILED.key(call.key), failed)  # if an answer follows

    async def forget_failure(self, error: ModelUnavailable) -> None:
        """Delete the failure that ends this attempt."""
        key = next((Row.FAILED.key(key) for failed, key in self._failures if failed is error), None)
        if key:
            await self._stored.delete(key)

    async def save_answer(
        self, call: JournaledCall, answered: ModelAnswer, ids: dict[int, str], reservation: Reservation | None = None
    ) -> Entry:
        """Store an answer and settle its reservation. Returns the stored one."""
        if not self._is_stored:
            if reservation:
                await reservation.write_settled(answered.response.usage)
            return Entry(answered, ids)
        settled = reservation.settle(answered.response.usage) if reservation else ()
        body = self._answer_body(call, answered, ids)
        stored = await self._stored.add(call.key, body, settled)
        self.pending.pop(call.key, None)
        if stored is body and "instructions" in body:
            self._prompts.add(body["instructions_digest"])
        return Entry(answered, ids) if stored is body else _entry(stored)

    def _answer_body(self, call: JournaledCall, answered: ModelAnswer, ids: dict[int, str]) -> dict[str, Any]:
        body = journal_rows.model_call_fields(call, self.attempt) | dump_answer(answered) | {"ids": ids}
        body |= {"ended_at": journal_rows.now(), "items_digest": call.items_digest}
        if self._by_call_ids:
            del body["within"]
        if prompt := journal_rows.instructions_digest(call):
            body["instructions_digest"] = prompt
            if self._keeps_prompts and prompt not in self._prompts:  # the text is once in a run
                body["instructions"] = replace_surrogates(call.request.instructions)
        if self._keeps_prompts and (asked := journal_rows.own_input(call)) is not None:
            body["input"] = asked
        return body

    def note_usable(self, key: str, output: list[Any]) -> None:
        self._usable.append((output, key))
        if not self._by_call_ids:
            for number, item in enumerate(output):
                if is_call(item.type):
                    self._calls[item.call_id] = f"{key}/{number}"

    def tool_call_key(self, agent: str, call_id: str) -> str:
        """Return a key that is the same in every attempt."""
        place = self._calls.get(call_id)
        if place is None:
            return f"{agent}/{call_id}/1"
        self._begun.add(place.rpartition("/")[0])
        return f"{agent}/{place if not self._is_stored else digest(place)[:32]}"

    def place(self, call_id: str) -> tuple[str, int] | None:
        """Return the key of the answer that made a call, and the call's number in it, the same in every attempt."""
        if (place := self._calls.get(call_id)) is None:
            return None
        answer, _, number = place.rpartition("/")
        return answer, int(number)

    def calls_before(self, call_id: str) -> list[Any]:
        """Return the function calls before a call in its answer."""
        answer, number = self.place(call_id) or ("", 0)
        output: list[Any] = next((output for output, key in self._usable if key == answer), [])
        return [item for item in output[:number] if item.type == "function_call"]

    def unused_answers(self) -> list[ModelAnswer]:
        """Return, once, answers that only led to finished tool calls."""
        left = [key for key in self._stored.keys(Row.MODEL) if key not in self._replayed]
        self._replayed.update(left)
        return [_entry(self._rows[key]).answered for key in left]

    async def forget_answer(self, output: list[Any] | None) -> bool:
        """Delete an unusable answer. Returns False if its calls have begun."""
        key = next((key for usable, key in self._usable if usable is output), None)
        if key is None or key in self._begun:
            return False
        await self._stored.delete(key)
        return True

    def find_tool_output(self, call: str) -> tuple[bool, Any]:
        body = self._rows.get(Row.TOOL.key(call))
        self.hits += body is not None
        return body is not None, body and from_journal_body(body)

    def has_tool_output(self, call: str) -> bool:
        return Row.TOOL.key(call) in self._rows

    async def save_tool_output(self, call: str, output: Any, tool: str, started_at: float) -> Any:
        if not self._is_stored:
            return output
        body = to_journal_body(output) | journal_rows.tool_call_fields(tool, started_at, self.attempt)
        stored = await self._stored.add(Row.TOOL.key(call), body)
        return output if stored is body else from_journal_body(stored)

    def was_asked(self, call: str) -> bool:
        """Return whether a person was asked about a call, or has decided."""
        return call in self._asked or Row.DECISION.key(call) in self._rows

    def has_answers_within(self, call: str) -> bool:
        """Return whether an earlier attempt got answers of models within a tool call."""
        return any(self._rows[key].get("within") == call for key in self._stored.keys(Row.MODEL))

    def find_decision(self, call: str) -> Decision | None:
        body = self._rows.get(Row.DECISION.key(call))
        return body and Decision(approve=body["approve"], reason=body["reason"], arguments=body["arguments"])

    def find_row(self, key: str) -> dict[str, Any] | None:
        self._replayed.add(key)
        return self._rows.get(key)

    async def add_row(self, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the row that is stored: `body` itself, or an earlier one."""
        self._rows[key] = stored = await self._stored.add(key, body)
        return stored

    async def allow_call(self, call: str, most: float) -> bool:
        return await self._limit.allows(call, most)


def _entry(body: dict[str, Any]) -> Entry:
    ids = {int(number): item_id for number, item_id in body["ids"].items()}
    return Entry(load_answer(body), ids)
