"""What an invocation knows of itself."""

import json
import os
import time
from types import SimpleNamespace
from typing import Any

from lambda_loop.runtime.api import Event

_CLIENT = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class Context:
    """As AWS's own client has it: docs.aws.amazon.com/lambda/latest/dg/python-context.html."""

    def __init__(self, event: Event) -> None:
        told, variables = event.headers, os.environ.get
        self.aws_request_id = event.request_id
        self.invoked_function_arn = told.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = told.get("lambda-runtime-aws-tenant-id")
        self.trace_id = told.get("lambda-runtime-trace-id")
        self.function_name = variables("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = variables("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = variables("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = variables("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = variables("AWS_LAMBDA_LOG_STREAM_NAME")
        self.client_context = _client_context(told.get("lambda-runtime-client-context"))
        identity = json.loads(told.get("lambda-runtime-cognito-identity") or "{}")
        self.identity = SimpleNamespace(
            cognito_identity_id=identity.get("cognitoIdentityId"),
            cognito_identity_pool_id=identity.get("cognitoIdentityPoolId"),
        )
        self._deadline_ms = int(told["lambda-runtime-deadline-ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Until Lambda ends the invocation."""
        return max(0, self._deadline_ms - int(1000 * time.time()))


def _client_context(text: str | None) -> Any:
    """What a mobile app says of itself: `client` is an object, `custom` and `env` are dicts."""
    if not text:
        return None
    told = json.loads(text)
    client = (
        None if told.get("client") is None else SimpleNamespace(**{name: told["client"].get(name) for name in _CLIENT})
    )
    return SimpleNamespace(client=client, custom=told.get("custom"), env=told.get("env"))
