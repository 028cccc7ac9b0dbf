"""Print what the functions of a deployment write, as it comes: `python scripts/logs.py STACK [MINUTES]`.

RUN=resp_... and OWNER=name leave the lines of one run or owner, LEVEL=WARNING those that are no worse; LEVEL=DEBUG has
all there are, as they are: of the sweep that runs each minute too, and AWS's own.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from agency_lambda.owner_digest import owner_digest

_PAUSE = 2.0  # seconds between looks
_LATE = 10_000  # milliseconds; CloudWatch shows events in the order in which they arrive, not in that of their time
_SWEEP = "SweepFunction"
_AWS = ("START RequestId: ", "END RequestId: ", "REPORT RequestId: ")  # AWS's own where they are text
_FAILURES = ("deadline_exceeded", "export_failed")  # fields of a line that is an error
_WARNINGS = (
    *("model_failures", "nested_entries", "conflicts", "leftovers", "zombies", "not_configured", "lease_steals"),
    "webhook_failed",
)
_NAMED = ("model", "owner", "response_id")
_COUNTED = ("model_calls", "tool_calls", "total_tokens", "journal_hits", "failures")
#: of a report of ours: what is said otherwise, or in whole only with LEVEL=DEBUG
_HIDDEN = {
    *("_aws", "service", "request_id", "event_loop", "status", "duration_ms", "run_duration_ms", "longest_stall_ms"),
    *("agency", "agent", "run_status", "attempts", "queue_age_ms", "handovers", "nested", "thread_waits", "notes"),
    *("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens"),
    *(*_NAMED, *_COUNTED),
}


def main() -> None:
    stack, minutes = sys.argv[1], float(sys.argv[2]) if sys.argv[2:] else 10.0
    run, owner = os.environ.get("RUN"), os.environ.get("OWNER")
    level = os.environ.get("LEVEL") or "INFO"
    if level not in logging.getLevelNamesMapping():
        sys.exit(f"No logs: LEVEL is {level!r}: write DEBUG, INFO, WARNING or ERROR")
    words = [word for word in (run, owner and owner_digest(owner)) if word]
    session = boto3.session.Session()
    try:
        groups = _groups(session.client("cloudformation"), stack)
        _follow(session.client("logs"), groups, int(1000 * (time.time() - 60 * minutes)), words, level)
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


def _follow(logs: Any, groups: dict[str, str], since: int, words: list[str], level: str) -> None:
    printed: set[tuple[int, str, str]] = set()  # time in milliseconds, who writes, what
    while True:
        found = {
            (event["timestamp"], name, event["message"].rstrip())
            for group, name in groups.items()
            for event in _events(logs, group, since, words)
        }
        for when, name, message in sorted(found - printed):
            if text := render(name, message, level):
                print(f"{datetime.fromtimestamp(when / 1000):%H:%M:%S} {name:15} {text}", flush=True)
        since = max([since, *(when - _LATE for when, _, _ in found)])
        printed = {line for line in printed | found if line[0] >= since}
        time.sleep(_PAUSE)


def _events(logs: Any, group: str, since: int, words: list[str]) -> Iterator[dict[str, Any]]:
    pattern = {"filterPattern": " ".join(f'"{word}"' for word in words)} if words else {}
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since, **pattern):
        yield from page["events"]


def render(name: str, message: str, level: str) -> str | None:
    """Return a line to print; None if it is left out. name: the function that has written the message."""
    if level == "DEBUG":
        return message
    if message.startswith(_AWS):
        return None
    fields = _fields(message)
    line_level, text = _described(fields) if fields else ("INFO", message)
    levels = logging.getLevelNamesMapping()
    is_idle = line_level == "INFO" and (name == _SWEEP or text is None)
    if is_idle or levels[line_level] < levels[level]:
        return None
    return text if line_level == "INFO" else f"{line_level} {text}"


def _fields(message: str) -> dict[str, Any] | None:
    try:
        fields = json.loads(message)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _described(fields: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the level of a line, and its text; no text for what only says that all is well."""
    if str(fields.get("type")).startswith("platform."):  # AWS's own
        record = fields.get("record") or {}
        is_well = record.get("status", "success") == "success"
        return ("INFO", None) if is_well else ("ERROR", f"{fields['type']} {record['status']}")
    if "level" in fields:  # a logger's
        level = fields["level"] if fields["level"] in logging.getLevelNamesMapping() else "INFO"
        trace = "\n".join(str(line).rstrip() for line in fields.get("stackTrace") or [])
        texts = (fields.get("message"), fields.get("errorMessage"), trace)
        return level, "\n".join(str(text) for text in texts if text)
    return _level(fields), _report(fields)


def _level(fields: Mapping[str, Any]) -> str:
    if any(fields.get(name) for name in _FAILURES) or int(fields.get("status") or 0) >= 500:
        return "ERROR"
    is_warning = fields.get("run_status") == "failed" or any(fields.get(name) for name in _WARNINGS)
    return "WARNING" if is_warning else "INFO"


def _report(fields: Mapping[str, Any]) -> str:
    agency, agent = fields.get("agency"), fields.get("agent")
    took = fields.get("duration_ms", fields.get("run_duration_ms"))
    words = [str(fields["status"]) if "status" in fields else None, f"{took:,.0f} ms" if took else None]
    words += [fields["run_status"]] if fields.get("run_status", "completed") != "completed" else []
    words += [f"{agency}/{agent}" if agent else agency, *(fields.get(name) for name in _NAMED)]
    words += [f"{fields[name]:,} {name.replace('_', ' ')}" for name in _COUNTED if fields.get(name)]
    stalled = fields.get("longest_stall_ms") or 0
    words += [f"stalled {stalled:,.0f} ms"] if stalled >= 100 else []
    more = {name: value for name, value in fields.items() if name not in _HIDDEN and name[0].islower() and value}
    words += [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in more.items()]
    return "  ".join(str(word) for word in words if word)


if __name__ == "__main__":
    main()
