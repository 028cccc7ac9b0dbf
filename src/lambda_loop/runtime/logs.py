"""Log lines in the format of AWS's client."""

import io
import json
import logging
import os
import sys
import time
import traceback
from typing import Any

from lambda_loop.runtime.context import Context

_invocation_fields: dict[str, str] = {}


class _JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            **_invocation_fields,
        }
        if record.exc_info and record.exc_info[0]:
            kind, error, trace = record.exc_info
            line |= {"errorType": kind.__name__, "errorMessage": str(error), "stackTrace": traceback.format_tb(trace)}
        return json.dumps(line, default=str)


def configure() -> None:
    """Configure the root logger by AWS_LAMBDA_LOG_FORMAT and AWS_LAMBDA_LOG_LEVEL."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a pipe: what is printed would wait in it while Lambda freezes us
        sys.stdout.reconfigure(line_buffering=True)
    handler = logging.StreamHandler(sys.stdout)
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON":
        handler.setFormatter(_JSONFormatter())
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "WARNING")
    logging.basicConfig(handlers=[handler], level={"TRACE": "DEBUG", "FATAL": "CRITICAL"}.get(level, level))


def set_invocation(context: Context) -> None:
    """Add this invocation's ids to later lines."""
    _invocation_fields.clear()
    _invocation_fields["requestId"] = context.aws_request_id
    if context.tenant_id:
        _invocation_fields["tenantId"] = context.tenant_id
    if context.trace_id:
        _invocation_fields["traceId"] = context.trace_id
