"""A Lambda runtime client that streams responses, which AWS's client for Python cannot.

stream.sh starts `python -m lambda_loop.runtime` in place of AWS's client. For each invocation:

    RuntimeApi.next -> EnvironmentLoop.stream -> StreamedResponse (prelude, chunks, trailers)

Protocol: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and runtimes-custom.html, "Using response streaming".
The prelude is that of HTTP integrations of API Gateway and function URLs. If Lambda ever streams Python by itself, only
handler/stream.py changes and this folder goes.
"""
