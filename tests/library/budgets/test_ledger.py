"""Spent and reserved together pass no limit: for any order of calls, and for a crash at every write."""

import asyncio
import tempfile
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agency_lambda.budgets.accounts import Account
from agency_lambda.budgets.limits import Limits
from agency_lambda.budgets.reservation import Reservation
from agency_lambda.budgets.spending import Spending
from agency_lambda.errors import BudgetExceeded
from agency_lambda.prices import load
from agency_lambda.store import Change, Store, StoreUnavailable, open_store
from agency_lambda.testing.aws import dynamodb_here

LIMITS = Limits(usd_per_day=60_000, tokens_per_month=40_000)
RUN_TOKENS = 25_000


async def limits(owner: str) -> Limits:
    return LIMITS


async def few_tokens(owner: str) -> Limits:
    return Limits(tokens_per_day=100)


class Crashing:
    """A store that fails once, before or after a write."""

    def __init__(self, store: Store) -> None:
        self.store, self.fails = store, ""

    async def get(self, partition: str, sort: str) -> Any:
        return await self.store.get(partition, sort)

    async def write(self, *changes: Change) -> None:
        fails, self.fails = self.fails, ""
        if fails == "before":
            raise StoreUnavailable("down")
        await self.store.write(*changes)
        if fails == "after":
            raise StoreUnavailable("down")


class Calls(RuleBasedStateMachine):
    """Two runs of one owner. `open`: calls that were asked and have no answer yet, with the tokens they may use."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store: Any = Crashing(open_store(f"sqlite:///{self.folder.name}/agency.db"))
        self.open: list[tuple[Reservation, int, int]] = []
        self.paid = 0  # tokens that providers have billed
        runs = [Account(f"run/{number}", "spend", 2**40, {"tokens": RUN_TOKENS}, "run") for number in range(2)]
        self.runs = [Spending(self.store, "owner", limits, load, run) for run in runs]
        for run in self.runs:
            asyncio.run(run.update())

    def teardown(self) -> None:
        asyncio.run(self.store.store.aclose())
        self.folder.cleanup()

    @rule(
        run=st.integers(0, 1),
        tokens=st.tuples(st.integers(1, 9_000), st.integers(1, 9_000)),
        fails=st.sampled_from(["", "", "before", "after"]),
    )
    def ask(self, run: int, tokens: tuple[int, int], fails: str) -> None:
        spending, self.store.fails = self.runs[run], fails
        try:
            reserved = asyncio.run(spending.reserve(spending.worst("offline", *tokens)))
        except (BudgetExceeded, StoreUnavailable):
            return
        finally:
            self.store.fails = ""
        self.open.append((reserved, *tokens))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), fails=st.sampled_from(["", "", "before", "after"]))
    def answer(self, data: Any, fails: str) -> None:
        reserved, read, written = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        used = data.draw(st.integers(1, read)), data.draw(st.integers(0, written))
        self.paid += sum(used)
        self.store.fails = fails
        usage = SimpleNamespace(
            input_tokens=used[0], output_tokens=used[1], total_tokens=sum(used), input_tokens_details=None
        )
        try:
            asyncio.run(reserved.write_settled(usage))
        except StoreUnavailable:
            return

    @precondition(lambda self: self.open)
    @rule()
    def crash(self) -> None:
        self.open.pop()

    @invariant()
    def nothing_passes_a_limit(self) -> None:
        day, month, _ = (self.sums(account) for account in self.runs[0]._accounts())
        assert day == month
        assert day.get("usd", 0) <= 60_000
        assert day.get("tokens", 0) <= 40_000
        assert day.get("tokens", 0) >= self.paid + sum(read + written for _, read, written in self.open)
        for sums in (day, *(self.sums(run._run_account) for run in self.runs)):
            for unit in ("usd", "tokens"):
                assert 0 <= sums.get(f"reserved/{unit}", 0) <= sums.get(unit, 0)
        for run in self.runs:
            assert self.sums(run._run_account).get("tokens", 0) <= RUN_TOKENS

    def sums(self, account: Account | None) -> Any:
        assert account
        record = asyncio.run(self.store.get(*account.key))
        return record.body if record else {}


Calls.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestCalls = Calls.TestCase


def test_of_many_at_once_on_dynamodb_those_that_fit_are_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(url: str) -> Any:
        store = open_store(url)
        spendings = [Spending(store, "owner", few_tokens, load) for _ in range(12)]
        for spending in spendings:
            await spending.update()
        asked = [spending.reserve(spending.worst("offline", 10, 5)) for spending in spendings]
        made = await asyncio.gather(*asked, return_exceptions=True)
        record = await store.get(*spendings[0]._accounts()[0].key)
        await store.aclose()
        return [type(each) for each in made], record and record.body

    with dynamodb_here(monkeypatch) as (url, _):
        made, sums = asyncio.run(use(url))
    assert sorted(made, key=str) == [Reservation] * 6 + [BudgetExceeded] * 6
    assert (sums["tokens"], sums["reserved/tokens"]) == (90, 90)
