"""Print what the functions of a deployment write, as it comes: `python scripts/logs.py STACK [MINUTES]`."""

import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

_PAUSE = 2.0  # seconds between looks
_LATE = 10_000  # milliseconds; CloudWatch shows events in the order in which they arrive, not in that of their time


def main() -> None:
    stack, minutes = sys.argv[1], float(sys.argv[2]) if sys.argv[2:] else 10.0
    session = boto3.session.Session()
    try:
        groups = _groups(session.client("cloudformation"), stack)
        _follow(session.client("logs"), groups, int(1000 * (time.time() - 60 * minutes)))
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"No logs: {error}")
    except KeyboardInterrupt:
        pass


def _groups(cloudformation: Any, stack: str) -> dict[str, str]:
    """Return log group -> the function that writes it."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    resources = [each for page in pages for each in page["StackResourceSummaries"]]
    return {
        each["PhysicalResourceId"]: each["LogicalResourceId"].partition("Parts")[0]
        for each in resources
        if each["ResourceType"] == "AWS::Logs::LogGroup"
    }


def _follow(logs: Any, groups: dict[str, str], since: int) -> None:
    printed: set[tuple[int, str, str]] = set()  # time in milliseconds, who writes, what
    while True:
        found = {
            (event["timestamp"], name, event["message"].rstrip())
            for group, name in groups.items()
            for event in _events(logs, group, since)
        }
        for when, name, message in sorted(found - printed):
            print(f"{datetime.fromtimestamp(when / 1000):%H:%M:%S} {name:15} {message}", flush=True)
        since = max([since, *(when - _LATE for when, _, _ in found)])
        printed = {line for line in printed | found if line[0] >= since}
        time.sleep(_PAUSE)


def _events(logs: Any, group: str, since: int) -> Iterator[dict[str, Any]]:
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since):
        yield from page["events"]


if __name__ == "__main__":
    main()
