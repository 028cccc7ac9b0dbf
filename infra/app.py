"""`cdk synth`. Needs no credentials and no Docker, and no network once the bundle is built."""

import sys

from aws_cdk import App, Tags, Validations
from cdk_nag import AwsSolutionsChecks

from infra.bundle import BundleError
from infra.data_stack import DataStack
from infra.environments import PROJECT, chosen
from infra.refusals import DeploymentError
from infra.service_stack import ServiceStack


def main() -> None:
    """Write the templates of one environment."""
    app = App()
    environment = chosen(app.node)
    data = DataStack(app, f"{environment.stack}-data", environment=environment)
    ServiceStack(app, environment.stack, environment=environment, data=data)
    Tags.of(app).add("project", PROJECT)
    Tags.of(app).add("environment", environment.name)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()


try:
    main()
except (DeploymentError, BundleError) as error:
    sys.exit(f"Not synthesised: {error}")
