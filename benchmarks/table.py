"""A DynamoDB table of moto's in a process of its own: its speed is moto's, not AWS's."""

from agency_lambda.testing.aws import dynamodb_table
from benchmarks.child import serve

if __name__ == "__main__":
    with dynamodb_table() as (name, environment):
        serve(lambda: lambda: (name, environment))
