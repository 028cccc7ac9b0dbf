"""The service: who may call it, what answers, what works on in the background, and who is told when it fails."""

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from agency_lambda_cdk.functions import Functions
from agency_lambda_cdk.monitoring import Monitoring
from agency_lambda_cdk.rest_api import RestApi
from agency_lambda_cdk.run_queue import RunQueue
from infra.data_stack import DataStack
from infra.environments import Environment


class ServiceStack(Stack):
    """Can be deleted and made anew: nothing is lost but its URL and what was queued, which the sweep queues again."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment, data: DataStack) -> None:
        super().__init__(scope, construct_id, description="agency-lambda: the service")
        queue = RunQueue(self, "Queue", environment=environment)
        functions = Functions(self, environment=environment, data=data, queue=queue)
        api = RestApi(self, "Gateway", environment=environment)
        for method in ("GET", "HEAD"):
            api.add(method, "/health", functions.api, is_open=True)
        api.add("POST", "/v1/responses", functions.stream, streams=environment.streaming)
        api.add("GET", "/v1/responses/{id}", functions.stream, streams=environment.streaming)
        # All methods of each path are said: which ones fall back to the proxy, gateways and emulators see differently.
        for path in ("/", "/health", "/v1/responses", "/v1/responses/{id}", "/v1/responses/{id}/{proxy+}", "/{proxy+}"):
            api.add("ANY", path, functions.api)
        monitoring = Monitoring(self, "Monitoring", environment=environment, api=api, functions=functions, queue=queue)

        CfnOutput(self, "Url", value=api.url)
        if api.target:
            CfnOutput(self, "DomainTarget", value=api.target, description="what the domain's name in DNS must point to")
        CfnOutput(
            self,
            "FirstKey",
            value=f"make key OWNER=you SECRET={data.api_keys.secret_arn}",
            description="with auth=keys",
        )
        CfnOutput(self, "ModelKey", value=f"make model-key SECRET={data.openai_key.secret_arn}")
        CfnOutput(self, "Alarms", value=monitoring.topic.topic_arn)
