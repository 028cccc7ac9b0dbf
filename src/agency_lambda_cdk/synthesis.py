"""`cdk synth`: from the context to the templates."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from aws_cdk import App, Tags, Validations
from aws_cdk.cx_api import CloudAssembly
from cdk_nag import AwsSolutionsChecks

from agency_lambda_cdk import bundle
from agency_lambda_cdk.bundle import AGENTS, BundleError
from agency_lambda_cdk.environment import DEPLOYING, Environment, Environments, choose_environment
from agency_lambda_cdk.validation import DeploymentError, refuse_unconfigured

type AddStacks = Callable[[App, Environment, Path], None]  # code: the zip of the bundle


def synthesize(
    add_stacks: AddStacks, environments: Environments, *, agents: Path = AGENTS, app: App | None = None
) -> None:
    """Write the templates of the environment that the context names, or exit with a sentence."""
    app = app or App()
    try:
        environment = choose_environment(app.node, environments)
        folder = bundle.build(environment.architecture, agents, offline_model=environment.offline_model)
        deploying = app.node.try_get_context(DEPLOYING) is not None
        for sentence in refuse_unconfigured(environment, bundle.lacking(folder), deploying=deploying):
            print(f"Warning: {sentence}. Until then it answers 503.", file=sys.stderr)
        for sentence in hints(environment):
            print(f"Note: {sentence}.", file=sys.stderr)
        assemble(app, environment, add_stacks, bundle.beside(folder, ".zip"))
    except (DeploymentError, BundleError) as error:
        sys.exit(f"Not synthesised: {error}")


def assemble(app: App, environment: Environment, add_stacks: AddStacks, code: Path) -> CloudAssembly:
    """Add the stacks, tag them, and check them with cdk-nag."""
    add_stacks(app, environment, code)
    Tags.of(app).add("project", environment.project)
    Tags.of(app).add("environment", environment.name)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app.synth()


def hints(environment: Environment) -> Iterator[str]:
    """Yield what cannot be checked at synth."""
    if environment.vpc_id:
        yield (
            "functions in a VPC reach the model's provider only through a NAT gateway; DynamoDB, SQS and Secrets "
            "Manager through it or through endpoints of the VPC: docs/deploy.md"
        )
    if environment.gradual and not environment.alarm_email:
        yield "an alarm rolls a gradual deployment back, and nobody gets a mail about it: set alarm_email"
