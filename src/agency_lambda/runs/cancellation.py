"""Cancels runs, and waits until they have ended."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from itertools import batched
from typing import TYPE_CHECKING

from agency_lambda.errors import NotFound, ServiceError, StoreUnavailable
from agency_lambda.protocol.response_object import FINAL, ResponseObject
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import Lease, StoredResponse
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.time_left import seconds_to_wait

if TYPE_CHECKING:
    from agency_lambda.runs.service import RunService

MOST_RUNS = 100  # that one request ends
_TIMEOUT = 10.0  # seconds that a request waits for runs to end
_POLL_INTERVAL = 1.0  # seconds between looks at the lease of a run
_POLL_INTERVAL_OF_ALL = 0.5  # and at those of all of an owner's runs
_AT_ONCE = 16


async def cancel_run(runs: "RunService", owner: str, response_id: str) -> ResponseObject:
    """Return the response as it is after at most 10 seconds. Cancelling again does no harm."""
    responses, end = Responses(runs.store, owner), _end_of_wait()
    try:
        async with asyncio.timeout_at(end):
            stored = await responses.get(response_id)
            if stored.response["status"] not in FINAL:
                await Leases(runs.store).cancel(response_id)
    except TimeoutError as error:
        raise _not_in_time() from error
    with suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout_at(end):
            while stored.response["status"] not in FINAL:
                await _execute_if_free(runs, response_id)
                stored = await responses.final(response_id, _POLL_INTERVAL)
    if stored.continued_by:
        with suppress(NotFound):
            await cancel_run(runs, owner, stored.continued_by)
    return stored.response


async def cancel_all(runs: "RunService", owner: str) -> tuple[list[ResponseObject], bool]:
    """End at most 100 runs, those first that nobody has cancelled.

    Returns the responses as they are after at most 10 seconds, and whether there are more. Raises StoreUnavailable.
    """
    leases, end = Leases(runs.store), _end_of_wait()
    try:
        async with asyncio.timeout_at(end):
            waiting = [lease for lease in await leases.waiting() if lease.owner == owner]
            unfinished = [*await _unfinished(leases, owner), *waiting]
            in_order = [lease.id for lease in sorted(unfinished, key=lambda lease: lease.cancelled)]
            roots = await _roots(Responses(runs.store, owner), in_order)
            chosen = roots[:MOST_RUNS]
            await for_each(chosen, leases.cancel)
    except TimeoutError as error:
        raise _not_in_time() from error
    with suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout_at(end):
            await execute_until_final(runs, owner, chosen)
    found = await for_each(chosen, lambda run_id: _response(Responses(runs.store, owner), run_id))
    return [response for response in found if response], len(roots) > len(chosen)


async def _roots(responses: Responses, run_ids: Sequence[str]) -> list[str]:
    """Return the runs that are not child runs of another one in the list, in its order.

    It stops reading when it has more than MOST_RUNS of them, which tells that not all can be cancelled now.
    """
    found, all_ids = list[str](), set(run_ids)
    for some in batched(run_ids, _AT_ONCE, strict=False):
        stored = await asyncio.gather(*(_stored(responses, run_id) for run_id in some))
        ends = [each and each.sending and each.sending.shown_in for each in stored]
        found += [run_id for run_id, root in zip(some, ends, strict=True) if root not in all_ids]
        if len(found) > MOST_RUNS:
            break
    return found


def _end_of_wait() -> float:
    return asyncio.get_running_loop().time() + min(_TIMEOUT, seconds_to_wait())


def _not_in_time() -> StoreUnavailable:
    return StoreUnavailable("The store did not answer in time. Cancel again.")


async def _unfinished(leases: Leases, owner: str) -> list[Lease]:
    return [lease for lease in await leases.all() if lease.owner == owner and not lease.dead]


async def execute_until_final(runs: "RunService", owner: str, run_ids: Collection[str]) -> None:
    """Return when the cancelled runs have ended, here or where they run."""
    while True:
        left = [lease for lease in await _unfinished(Leases(runs.store), owner) if lease.id in run_ids]
        if not left:
            return
        free = [lease.id for lease in left if not lease.holder or lease.is_overdue]
        await for_each(free, lambda run_id: _execute_if_free(runs, run_id))
        if len(free) < len(left):
            await asyncio.sleep(_POLL_INTERVAL_OF_ALL)


async def _execute_if_free(runs: "RunService", run_id: str) -> None:
    if (attempt := await runs.resume(run_id)) is not None:
        with suppress(ServiceError):  # it is stored in the response
            await runs.execute(attempt)


async def _response(responses: Responses, response_id: str) -> ResponseObject | None:
    stored = await _stored(responses, response_id)
    return stored.response if stored else None


async def _stored(responses: Responses, response_id: str) -> StoredResponse | None:
    try:
        return await responses.get(response_id)
    except NotFound:  # it was deleted
        return None


async def for_each[T](run_ids: Collection[str], do: Callable[[str], Awaitable[T]]) -> list[T]:
    """Return the results in the order of the runs, of which a few are worked on at the same time."""
    return [
        result for some in batched(run_ids, _AT_ONCE, strict=False) for result in await asyncio.gather(*map(do, some))
    ]
