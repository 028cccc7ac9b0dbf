"""Log lines as AWS's own client writes them: JSON where the function's log format is JSON."""

import io
import json
import logging
import os
import sys
import time
import traceback
from typing import Any

from lambda_loop.runtime.context import Context


class _JSON(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            **told,
        }
        if record.exc_info and record.exc_info[0]:
            kind, error, trace = record.exc_info
            line |= {"errorType": kind.__name__, "errorMessage": str(error), "stackTrace": traceback.format_tb(trace)}
        return json.dumps(line, default=str)


told: dict[str, str] = {}
"""What each line says of the invocation that runs."""


def set_up() -> None:
    """Before anything of the app is imported: what it logs then should be seen as well."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a pipe: what is printed would wait in it while Lambda freezes us
        sys.stdout.reconfigure(line_buffering=True)
    handler = logging.StreamHandler(sys.stdout)
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON":
        handler.setFormatter(_JSON())
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "WARNING")
    logging.basicConfig(handlers=[handler], level={"TRACE": "DEBUG", "FATAL": "CRITICAL"}.get(level, level))


def about(context: Context) -> None:
    """From now on the lines are about this invocation."""
    told.clear()
    told["requestId"] = context.aws_request_id
    if context.tenant_id:
        told["tenantId"] = context.tenant_id
    if context.trace_id:
        told["traceId"] = context.trace_id
