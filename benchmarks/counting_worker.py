"""A handler for processes of `agency_lambda.testing.workers` that writes down what each invocation has cost.

A line of JSON in the file COSTS for each batch: seconds, and how many messages, store calls, records and write units.
"""

import json
import os
import time
from collections.abc import Callable
from typing import Any

from agency_lambda.queue import sqs
from agency_lambda.settings import get_settings
from agency_lambda.store import Change, Put, open_store
from agency_lambda.store.encoding import encode_body
from benchmarks.watched_store import WatchedStore, use

_KB, _KEYS = 1024, 160  # bytes; those of a record's names, version and time


class UnitStore(WatchedStore):
    """Counts "units" of DynamoDB as well: one for each KB that is written, two in a transaction."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.counts["units"] = 0

    async def write(self, *changes: Change) -> None:
        self.counts["units"] += sum(map(_kilobytes, changes)) * (1 if len(changes) == 1 else 2)
        await super().write(*changes)


def _kilobytes(change: Change) -> int:
    size = len(encode_body(change.body)) if isinstance(change, Put) else 0
    return -(-(size + _KEYS) // _KB)


store = UnitStore(open_store(get_settings().store))
use(store)
requests = 0  # of SQS, that send


def _counted[**P](send: Callable[P, None]) -> Callable[P, None]:
    def counting(*args: P.args, **named: P.kwargs) -> None:
        global requests
        requests += 1
        send(*args, **named)

    return counting


sqs.SQSQueue._send = _counted(sqs.SQSQueue._send)  # type: ignore[method-assign]
sqs.SQSQueue._send_runs = _counted(sqs.SQSQueue._send_runs)  # type: ignore[method-assign]


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Hand the event to the worker's own handler."""
    from handler.worker import handler as handle

    before, begun, sent_before = dict(store.counts), time.monotonic(), requests
    answer = handle(event, context)
    if "Records" in event:
        counts = {name: count - before[name] for name, count in store.counts.items()}
        line = {
            "seconds": time.monotonic() - begun,
            "messages": len(event["Records"]),
            **counts,
        }
        with open(os.environ["COSTS"], "a") as costs:
            print(json.dumps({**line, "sends": requests - sent_before}), file=costs)
    return answer
