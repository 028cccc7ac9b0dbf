"""The service, which can be deleted and made anew."""

from pathlib import Path

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from agency_lambda_cdk import Environment, Functions, GradualDeployment, Monitoring, RestApi, RunQueue
from infra.data_stack import DataStack


class ServiceStack(Stack):
    def __init__(
        self, scope: Construct, construct_id: str, *, environment: Environment, code: Path, data: DataStack
    ) -> None:
        super().__init__(scope, construct_id, env=environment.aws, description="agency-lambda: the service")
        queue = RunQueue(self, "Queue", environment=environment)
        functions = Functions(
            self,
            environment=environment,
            code=code,
            table=data.table,
            queue=queue,
            api_keys=data.api_keys,
            model_key=data.model_key,
            files=data.files,
        )
        api = RestApi(self, "Gateway", environment=environment)
        api.serve(functions)
        monitoring = Monitoring(self, "Monitoring", environment=environment, api=api, functions=functions, queue=queue)
        if environment.gradual:
            alarms = monitoring.rolling_back
            GradualDeployment(self, "Gradual", environment=environment, functions=functions, alarms=alarms)

        functions.grant_store(data.table)
        functions.grant_files(data.files)
        functions.grant_queue(queue)
        functions.grant_secrets(api_keys=data.api_keys, model_key=data.model_key)
        # Own resources go here (what must outlive the service goes into the data stack), e.g.
        #     prices = Table(self, "Prices", environment=environment)
        #     functions.worker.allow("dynamodb:GetItem", on=prices.table_arn)
        # and own alarms: monitoring.add_alarm("Orders", metric, threshold=1, meaning="orders fail")

        self._print(environment, data, api, monitoring)

    def _print(self, environment: Environment, data: DataStack, api: RestApi, monitoring: Monitoring) -> None:
        if environment.page:
            CfnOutput(self, "Page", value=f"{api.url}/", description="open it in a browser")
        CfnOutput(self, "Url", value=api.url)
        if api.target:
            CfnOutput(self, "DomainTarget", value=api.target, description="what the domain's name in DNS must point to")
        first_key = f"make key OWNER=you SECRET={data.api_keys.arn}"
        CfnOutput(self, "FirstKey", value=first_key, description="with auth=keys")
        CfnOutput(self, "ModelKey", value=f"make model-key SECRET={data.model_key.arn}")
        CfnOutput(self, "Alarms", value=monitoring.topic.topic_arn)
