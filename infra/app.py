"""`cdk synth`. Needs no credentials and no Docker, and no network once the bundle is built."""

import sys

from aws_cdk import App, Tags, Validations
from cdk_nag import AwsSolutionsChecks

from agency_lambda_cdk import bundle
from agency_lambda_cdk.bundle import BundleError, agencies
from agency_lambda_cdk.validation import DeploymentError, refuse_unconfigured
from infra.data_stack import DataStack
from infra.environments import DEPLOYING, PROJECT, chosen
from infra.service_stack import ServiceStack


def main() -> None:
    """Write the templates of one environment."""
    app = App()
    environment = chosen(app.node)
    lacking = agencies.lacking(bundle.build(environment.architecture))
    for warning in refuse_unconfigured(environment, lacking, deploying=app.node.try_get_context(DEPLOYING) is not None):
        print(f"Warning: {warning}. Until then it answers 503.", file=sys.stderr)
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
