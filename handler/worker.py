"""Lambda entry, SQS: runs in the background, and a schedule that requeues abandoned ones.

event -> EnvironmentLoop -> runs.worker -> lease -> journal -> agents -> what failed
"""

from typing import Any

from agency_lambda import Worker

worker = Worker()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Work on one batch of messages: `{"batchItemFailures": [...]}`; or on a schedule's event: `{"swept": N}`."""
    return worker(event, context)
