"""A Lambda runtime client whose answers leave while they are made. AWS's own for Python answers only whole.

`python -m lambda_loop.runtime` is started by stream.sh, beside it, in place of AWS's client. The way of an invocation:

    next -> EnvironmentLoop.stream -> StreamedResponse (prelude, chunks, trailers) -> next

Protocol: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html (the Runtime API) and runtimes-custom.html, "Using
response streaming"; the prelude is that of API Gateway's and function URLs' HTTP integrations. Everything that speaks
it is in this folder: when Lambda streams Python by itself, handler/stream.py changes and the folder goes.
"""
