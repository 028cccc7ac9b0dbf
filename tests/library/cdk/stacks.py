"""The template's stacks, as infra/ has them at first: these tests do not depend on what an adopter makes of that."""

from pathlib import Path

from aws_cdk import App, CfnOutput, Stack

from agency_lambda_cdk import (
    EmptySecret,
    Environment,
    FileBucket,
    Functions,
    GradualDeployment,
    Monitoring,
    RestApi,
    RunQueue,
    Table,
)

ENVIRONMENTS = {
    "dev": Environment(),
    "production": Environment(production=True, snap_start=True, offline_model=False, log_days=365),
}


def add_stacks(app: App, environment: Environment, code: Path) -> None:
    data = Stack(app, f"{environment.stack}-data", env=environment.aws, termination_protection=environment.production)
    table = Table(data, "Table", environment=environment)
    files = FileBucket(data, "Files", environment=environment)
    api_keys = EmptySecret(data, "ApiKeys", description="callers", environment=environment)
    model_key = EmptySecret(data, "OpenAiKey", description="model", environment=environment)

    service = Stack(app, environment.stack, env=environment.aws)
    queue = RunQueue(service, "Queue", environment=environment)
    functions = Functions(
        service,
        environment=environment,
        code=code,
        table=table,
        queue=queue,
        api_keys=api_keys,
        model_key=model_key,
        files=files,
    )
    api = RestApi(service, "Gateway", environment=environment)
    api.serve(functions)
    monitoring = Monitoring(service, "Monitoring", environment=environment, api=api, functions=functions, queue=queue)
    if environment.gradual:
        alarms = monitoring.rolling_back
        GradualDeployment(service, "Gradual", environment=environment, functions=functions, alarms=alarms)
    functions.grant_store(table)
    functions.grant_files(files)
    functions.grant_queue(queue)
    functions.grant_secrets(api_keys=api_keys, model_key=model_key)
    CfnOutput(service, "Url", value=api.url)
    if api.target:
        CfnOutput(service, "DomainTarget", value=api.target)
