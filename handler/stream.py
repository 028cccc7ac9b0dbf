"""Lambda entry, streaming: the app and the loop of handler/api.py, whose answers leave piece by piece.

    event -> EnvironmentLoop -> app -> auth -> route -> runs -> agents -> API Gateway, piece by piece

Python's managed runtime cannot stream, so lambda_loop/runtime/stream.sh (AWS_LAMBDA_EXEC_WRAPPER) starts the runtime
client beside it instead of AWS's, and that takes `environment` from here. Where no wrapper runs, as under `sam local`,
`handler` answers whole.
"""

from handler.api import environment, handler

__all__ = ["environment", "handler"]
