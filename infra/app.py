"""The stacks of one environment: what `cdk synth` runs."""

from pathlib import Path

from aws_cdk import App

from agency_lambda_cdk import Environment, synthesize
from infra.data_stack import DataStack
from infra.environments import ENVIRONMENTS
from infra.service_stack import ServiceStack


def add_stacks(app: App, environment: Environment, code: Path) -> None:
    data = DataStack(app, f"{environment.stack}-data", environment=environment)
    ServiceStack(app, environment.stack, environment=environment, code=code, data=data)


if __name__ == "__main__":
    synthesize(add_stacks, ENVIRONMENTS)
