"""`cdk synth`. Needs no credentials, no Docker and no network once the bundle is built.

Context: `-c architecture=x86_64` (default arm64).
"""

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from infra.service_stack import ServiceStack

app = App()
ServiceStack(app, "AgencyLambda", architecture=app.node.try_get_context("architecture") or "arm64")
Validations.of(app).add_plugins(AwsSolutionsChecks(app))
app.synth()
