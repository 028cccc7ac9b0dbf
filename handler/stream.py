"""Lambda entry, streaming: the same app on the same loop as handler/api.py, and each piece leaves when it is made.

    event -> EnvironmentLoop -> app -> route -> runs -> Reply -> API Gateway, piece by piece

Python's managed runtime cannot stream, so handler/stream.sh (AWS_LAMBDA_EXEC_WRAPPER) starts handler/runtime instead
of AWS's client; that takes `environment` from here. Where no wrapper runs (`sam local`, emulators), `handler` answers
whole. When Lambda streams Python by itself, this is the file that changes.
"""

from handler.api import environment, handler

__all__ = ["environment", "handler"]
