"""The HTTPS address: one REST API, because only those stream."""

import json
from collections.abc import Mapping

from aws_cdk import Acknowledgment, Duration, Validations
from aws_cdk import aws_apigateway as gateway
from aws_cdk import aws_certificatemanager as acm
from constructs import Construct

from agency_lambda_cdk.environment import Environment
from agency_lambda_cdk.firewall import Firewall
from agency_lambda_cdk.function import AgencyFunction, log_group
from agency_lambda_cdk.functions import Functions
from agency_lambda_cdk.gateway_errors import answer_errors
from agency_lambda_cdk.validation import refuse_mixed

# `/{agency}/get_response_stream` cannot be a resource: beside `{proxy+}` the gateway takes no other variable, and
# CloudFormation cannot replace that one by another. So every POST may stream, in any protocol, but those of _PATHS.
# What is streamed is sent as it is, so that a file needs no media type.
_STREAMING = (
    *(("POST", "/v1/responses"), ("GET", "/v1/responses/{id}"), ("POST", "/{proxy+}")),
    *(("GET", "/v1/files/{id}/content"), ("GET", "/v1/containers/{proxy+}")),
)
_PATHS = (
    *("/", "/health", "/completion", "/v1/responses", "/v1/responses/{id}", "/v1/responses/{id}/{proxy+}"),
    *("/v1/files", "/v1/files/{id}", "/v1/files/{id}/content", "/v1/containers", "/v1/containers/{proxy+}"),
    "/{proxy+}",
)
# Bodies of these types reach a function as they are, in base64. Of answers that come whole only those are sent as bytes
# whose request accepts such a type first: OpenAI's clients accept application/binary for the content of a file.
_BINARY = ["multipart/form-data", "application/octet-stream", "application/binary", "application/pdf", "image/*"]
_PAGE = ("/", "/page/{proxy+}")
_TLS = {"regional": "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09", "edge": "SecurityPolicy_TLS12_2018_EDGE"}
_LOG_POLICY = "Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
_LOGGED = {  # nothing that a caller writes freely: the gateway does not escape it
    "request_id": "$context.requestId",  # on what the gateway answers itself
    "function_request_id": "$context.integration.requestId",  # on what the function answers, and in its log
    "time": "$context.requestTime",
    "ip": "$context.identity.sourceIp",
    "caller": "$context.identity.userArn",
    "method": "$context.httpMethod",
    "route": "$context.resourcePath",
    "status": "$context.status",
    "bytes": "$context.responseLength",
    "latency_ms": "$context.responseLatency",
    "function_ms": "$context.integrationLatency",
    "error": "$context.error.responseType",
    "waf": "$context.waf.status",
}


class RestApi(Construct):
    """Make the REST API; `serve` adds the service's routes.

    url: the base URL of clients. target: what the name of a domain must point to, or None.
    """

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(scope, construct_id)
        self._environment = environment
        self.target: str | None = None
        self._log = log_group(self, "AccessLog", environment=environment)
        self.api = gateway.RestApi(
            self,
            "Api",
            rest_api_name=environment.stack,
            endpoint_types=[gateway.EndpointType[environment.endpoint.upper()]],
            binary_media_types=_BINARY,
            disable_execute_api_endpoint=bool(environment.domain_name),  # else there would be two addresses
            deploy_options=self._stage(),
            cloud_watch_role=True,  # without it in the account, no stage can have an access log
        )
        self.api.node.try_remove_child("Endpoint")  # an output of CDK's own, beside ours
        self._require_tls_1_2()
        answer_errors(self.api, environment)
        self._acknowledge()
        self.url = self._with_domain() if environment.domain_name else self.api.url.rstrip("/")
        if environment.waf:
            Firewall(self, "Firewall", environment=environment, stage=self.api.deployment_stage)

    def serve(self, functions: Functions) -> None:
        """Lead the routes that stream to `functions.stream`, and every other one to `functions.api`."""
        for method in ("GET", "HEAD"):
            self.add(method, "/health", functions.api, is_open=True)
        for method, path in _STREAMING:
            self.add(method, path, functions.stream, streams=self._environment.streaming)
        if self._environment.page:
            self._serve_page(functions)
        for path in _PATHS:  # each with ANY: which methods fall back to the proxy, emulators see differently
            self.add("ANY", path, functions.api)

    def add(
        self, method: str, path: str, function: AgencyFunction, *, is_open: bool = False, streams: bool = False
    ) -> None:
        """Lead a route to a function's alias. is_open: also with auth=iam.

        Raises:
            DeploymentError: only one of the route and its function streams.
        """
        refuse_mixed(f"{method} {path}", route_streams=streams, function_streams=function.streams)
        iam = self._environment.auth == "iam" and not is_open
        self.api.root.resource_for_path(path).add_method(
            method,
            self._integration(function, streams),
            authorization_type=gateway.AuthorizationType.IAM if iam else gateway.AuthorizationType.NONE,
        )

    def _serve_page(self, functions: Functions) -> None:
        # By the function that streams: it sends bytes as they are, and the page's first question finds it started.
        for path in _PAGE:
            for method in ("GET", "HEAD"):
                self.add(method, path, functions.stream, is_open=True, streams=self._environment.streaming)
        self.add("ANY", _PAGE[1], functions.api)

    def _integration(self, function: AgencyFunction, streams: bool) -> gateway.LambdaIntegration:
        mode = gateway.ResponseTransferMode.STREAM if streams else gateway.ResponseTransferMode.BUFFERED
        seconds = self._environment.stream_seconds if streams else self._environment.answer_seconds
        return gateway.LambdaIntegration(
            function.live, response_transfer_mode=mode, timeout=Duration.seconds(seconds), allow_test_invoke=False
        )

    def _stage(self) -> gateway.StageOptions:
        return gateway.StageOptions(
            stage_name=self._environment.name,
            throttling_rate_limit=self._environment.requests_per_second,
            throttling_burst_limit=self._environment.burst,
            tracing_enabled=self._environment.xray,
            access_log_destination=gateway.LogGroupLogDestination(self._log),
            access_log_format=gateway.AccessLogFormat.custom(json.dumps(_LOGGED)),
        )

    def _require_tls_1_2(self) -> None:
        # CDK's own property is only there for domains.
        resource = self.api.node.default_child
        assert isinstance(resource, gateway.CfnRestApi)
        resource.security_policy = _TLS[self._environment.endpoint]
        resource.endpoint_access_mode = "BASIC"

    def _with_domain(self) -> str:
        domain = self.api.add_domain_name(
            "Domain",
            domain_name=self._environment.domain_name,
            certificate=acm.Certificate.from_certificate_arn(self, "Certificate", self._environment.certificate_arn),
            endpoint_type=gateway.EndpointType[self._environment.endpoint.upper()],
            security_policy=gateway.SecurityPolicy.TLS_1_2,
        )
        self.target = domain.domain_name_alias_domain_name
        return f"https://{self._environment.domain_name}"

    def _acknowledge(self) -> None:
        for rule, reason in self._reasons().items():
            Validations.of(self.api).acknowledge(Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=reason))

    def _reasons(self) -> Mapping[str, str]:
        reasons = {
            "APIG2": "the app checks what is sent, and answers in the words of the standard",
            "APIG4": "the app asks for a key or a token (auth=iam: the gateway for a signature), but for /health and "
            "for the page's files, which are the same for everybody",
            "APIG6": "execution logs repeat headers, so keys; the access log and the function's log say what is needed",
            "COG4": "callers are programs with keys; auth=jwt takes the tokens of any issuer, Cognito's too",
            f"IAM4[{_LOG_POLICY}]": "AWS's own policy, for the gateway's own log role",
        }
        return reasons if self._environment.waf else {**reasons, "APIG3": "the setting waf: it costs when nobody calls"}
