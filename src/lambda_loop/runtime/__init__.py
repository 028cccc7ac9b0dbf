"""A Lambda runtime client that streams responses, started by stream.sh in place of AWS's.

    RuntimeApi.next -> EnvironmentLoop.stream -> StreamedResponse

Protocol: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and runtimes-custom.html, "Using response streaming".
"""
