"""`cdk synth`. Needs no credentials and no Docker, and no network once the bundle is built."""

import sys

from aws_cdk import App, Tags, Validations
from cdk_nag import AwsSolutionsChecks

from infra import bundle, bundle_agencies
from infra.bundle import BundleError
from infra.data_stack import DataStack
from infra.environments import DEPLOYING, PROJECT, Environment, chosen
from infra.refusals import DeploymentError, unconfigured
from infra.service_stack import ServiceStack


def main() -> None:
    """Write the templates of one environment."""
    app = App()
    environment = chosen(app.node)
    _check_variables(environment, deploying=app.node.try_get_context(DEPLOYING) is not None)
    data = DataStack(app, f"{environment.stack}-data", environment=environment)
    ServiceStack(app, environment.stack, environment=environment, data=data)
    Tags.of(app).add("project", PROJECT)
    Tags.of(app).add("environment", environment.name)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()


def _check_variables(environment: Environment, *, deploying: bool) -> None:
    """A template may be made without them, and then says so; `make deploy` refuses before it uploads anything."""
    missing = unconfigured(environment, bundle_agencies.lacking(bundle.build(environment.architecture)))
    if missing and deploying:
        raise DeploymentError("; ".join(missing))
    for sentence in missing:
        print(f"Warning: {sentence}. Until then it answers 503.", file=sys.stderr)


try:
    main()
except (DeploymentError, BundleError) as error:
    sys.exit(f"Not synthesised: {error}")
