"""A DynamoDB table of moto's in a process of its own: its speed is moto's, not AWS's."""

from benchmarks.child import serve
from tests.library.stores import dynamodb_table

if __name__ == "__main__":
    with dynamodb_table() as (name, environment):
        serve(lambda: lambda: (name, environment))
