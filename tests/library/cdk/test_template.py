"""What must not vanish from the templates, and what must never get into them."""

import json
import re
from collections.abc import Collection
from typing import Any

import pytest

from agency_lambda.protocol.bounds import FILE_SECONDS
from agency_lambda_cdk.bundle import ROOT
from tests.library.cdk.assembly import Assembly, synth

FUNCTIONS = ("ApiFunction", "StreamFunction", "WorkerFunction", "SweepFunction")
STORE = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"]
STORE += ["dynamodb:UpdateItem"]
OPEN = {(method, path) for method in ("GET", "HEAD") for path in ("/health", "/", "/page/{proxy+}")}
PAGE = OPEN - {("GET", "/health"), ("HEAD", "/health")}


@pytest.fixture(scope="module")
def dev() -> Assembly:
    return synth()


@pytest.fixture(scope="module")
def production() -> Assembly:
    return synth(environment="production")


def routes(assembly: Assembly) -> dict[tuple[str, str], dict[str, Any]]:
    """(method, path) -> the method's properties."""
    resources = assembly.of_type("AWS::ApiGateway::Resource")

    def path(reference: dict[str, Any]) -> str:
        if "Fn::GetAtt" in reference:
            return ""
        own = resources[reference["Ref"]]
        return f"{path(own['ParentId'])}/{own['PathPart']}"

    methods = assembly.of_type("AWS::ApiGateway::Method").values()
    return {(each["HttpMethod"], path(each["ResourceId"]) or "/"): each for each in methods}


def statements(assembly: Assembly, function: str) -> list[dict[str, Any]]:
    """What its role may do."""
    role = assembly.service[function]["Properties"]["Role"]["Fn::GetAtt"][0]
    found = [
        policy["PolicyDocument"]["Statement"]
        for policy in assembly.of_type("AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Roles"]
    ]
    assert "ManagedPolicyArns" not in assembly.service[role]["Properties"]
    assert "Policies" not in assembly.service[role]["Properties"]
    return [statement for each in found for statement in each]


def target(assembly: Assembly, arn: Any) -> str:
    """The logical id of what an ARN in a policy means; of a bucket's objects with `/*`."""
    if "Fn::Join" in arn:
        bucket, objects = arn["Fn::Join"][1]
        return target(assembly, bucket) + str(objects)
    if "Fn::GetAtt" in arn:
        return str(arn["Fn::GetAtt"][0])
    exported = json.loads((assembly.folder / f"agency-lambda-{assembly.name}-data.template.json").read_text())[
        "Outputs"
    ]
    (found,) = [each for each in exported.values() if each["Export"]["Name"] == arn["Fn::ImportValue"]]
    value = found["Value"]
    return str(value.get("Ref") or value["Fn::GetAtt"][0])


def permissions(assembly: Assembly, function: str) -> set[tuple[str, str]]:
    """(action, logical id) of all that it may do."""
    return {
        (action, target(assembly, resource))
        for each in statements(assembly, function)
        for action in listed(each["Action"])
        for resource in listed(each["Resource"])
    }


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# ------------------------------------------------------------------ data


def test_the_table_is_paid_by_use_kept_encrypted_and_forgets_what_expired(dev: Assembly) -> None:
    (table,) = dev.of_type("AWS::DynamoDB::Table").values()
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["KeySchema"] == [
        {"AttributeName": "partition", "KeyType": "HASH"},
        {"AttributeName": "sort", "KeyType": "RANGE"},
    ]


def test_files_are_private_encrypted_and_do_not_stay_for_ever(dev: Assembly) -> None:
    ((name, bucket),) = dev.of_type("AWS::S3::Bucket").items()
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert "ServerSideEncryptionConfiguration" in json.dumps(bucket["BucketEncryption"])
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (rule["ExpirationInDays"], rule["Status"]) == (31, "Enabled")  # a file is kept for 30 days at most
    assert FILE_SECONDS == 30 * 24 * 3600
    assert "VersioningConfiguration" not in bucket  # what is deleted is gone
    (policy,) = dev.of_type("AWS::S3::BucketPolicy").values()
    denied = {json.dumps(each["Condition"]): each["Effect"] for each in policy["PolicyDocument"]["Statement"]}
    assert denied == {
        '{"Bool": {"aws:SecureTransport": "false"}}': "Deny",
        '{"NumericLessThan": {"s3:TlsVersion": 1.2}}': "Deny",
    }
    for function in FUNCTIONS:
        variables = dev.service[function]["Properties"]["Environment"]["Variables"]
        prefix, exported = variables["FILES"]["Fn::Join"][1]
        assert (prefix, f"ExportsOutputRef{name}" in json.dumps(exported)) == ("s3://", True)


def test_only_pages_that_may_call_send_forms_to_the_bucket(dev: Assembly) -> None:
    assert "CorsConfiguration" not in json.dumps(dev.of_type("AWS::S3::Bucket"))
    origins = "https://a.example.com, https://b.example.com"
    (bucket,) = synth(variables={"CORS_ORIGINS": origins}).of_type("AWS::S3::Bucket").values()
    (rule,) = bucket["CorsConfiguration"]["CorsRules"]
    assert (rule["AllowedMethods"], rule["AllowedOrigins"]) == (["POST"], origins.split(", "))


def test_forms_are_binary_and_json_is_not(dev: Assembly) -> None:
    """Lambda takes 6 MB, so that as base64 a body of JSON could have only 4.5 of them."""
    (api,) = dev.of_type("AWS::ApiGateway::RestApi").values()
    assert {"multipart/form-data", "application/binary"} <= set(api["BinaryMediaTypes"])
    assert not [each for each in api["BinaryMediaTypes"] if each.startswith("*/") or "json" in each or "text" in each]


def test_in_production_nothing_that_is_stored_can_be_deleted_by_accident(production: Assembly) -> None:
    (table,) = production.of_type("AWS::DynamoDB::Table").values()
    assert table["DeletionProtectionEnabled"] is True
    assert production.data
    for resource in production.data.values():
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")
    manifest = json.loads((production.folder / "manifest.json").read_text())
    assert manifest["artifacts"]["agency-lambda-production-data"]["properties"]["terminationProtection"] is True


def test_elsewhere_everything_goes_with_its_stack(dev: Assembly) -> None:
    (table,) = dev.of_type("AWS::DynamoDB::Table").values()
    assert not table.get("DeletionProtectionEnabled")
    kept = {name for name, each in {**dev.data, **dev.service}.items() if each.get("DeletionPolicy") == "Retain"}
    assert {dev.service[name]["Type"] for name in kept} <= {"AWS::IAM::Role", "AWS::ApiGateway::Account"}


def test_no_secret_has_a_value_in_the_template(dev: Assembly) -> None:
    secrets = dev.of_type("AWS::SecretsManager::Secret").values()
    assert len(secrets) == 2
    for secret in secrets:
        assert set(secret) <= {"Description", "Tags"}
    assert "resolve:" not in dev.text()  # a dynamic reference would put it into a function's variables


# ------------------------------------------------------------------ functions


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_what_the_tests_run_and_ends_its_log(dev: Assembly, name: str) -> None:
    function = dev.service[name]["Properties"]
    entry = {"ApiFunction": "api", "StreamFunction": "stream"}.get(name, "worker")
    assert (function["Handler"], function["Runtime"]) == (f"handler.{entry}.handler", "python3.13")
    assert function["Architectures"] == ["arm64"]
    assert function["LoggingConfig"]["LogFormat"] == "JSON"
    log = dev.service[function["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
    assert log["RetentionInDays"] == 30


def test_every_log_ends(dev: Assembly) -> None:
    logs = dev.of_type("AWS::Logs::LogGroup")
    assert len(logs) == len(FUNCTIONS) + 1
    assert all(each["RetentionInDays"] for each in logs.values())


def test_all_functions_are_one_bundle(dev: Assembly) -> None:
    keys = {json.dumps(dev.service[name]["Properties"]["Code"], sort_keys=True) for name in FUNCTIONS}
    assert len(keys) == 1


def test_snap_start_is_for_what_somebody_waits_for(dev: Assembly, production: Assembly) -> None:
    for name in FUNCTIONS[:3]:
        assert production.service[name]["Properties"]["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    assert "SnapStart" not in production.service["SweepFunction"]["Properties"]
    assert "SnapStart" not in dev.text()


def test_everything_that_calls_a_function_calls_its_alias(dev: Assembly) -> None:
    aliases = dev.of_type("AWS::Lambda::Alias")
    assert {each["Name"] for each in aliases.values()} == {"live"}
    assert {each["FunctionName"]["Ref"] for each in aliases.values()} == set(FUNCTIONS)
    called = [
        *(each["Integration"]["Uri"] for each in routes(dev).values()),
        *(each["FunctionName"] for each in dev.of_type("AWS::Lambda::EventSourceMapping").values()),
        *(each["FunctionName"] for each in dev.of_type("AWS::Lambda::Permission").values()),
        *(rule["Targets"][0]["Arn"] for rule in dev.of_type("AWS::Events::Rule").values()),
    ]
    assert len(called) > len(FUNCTIONS)
    for each in called:
        assert any(f'"Ref": "{alias}"' in json.dumps(each) for alias in aliases), each
        assert not any(f'"{name}"' in json.dumps(each) for name in FUNCTIONS)


def test_what_streams_streams_on_both_sides_and_nothing_else_does(dev: Assembly) -> None:
    streaming = {("POST", "/v1/responses"), ("GET", "/v1/responses/{id}"), ("POST", "/{proxy+}")}
    streaming |= {("GET", "/v1/files/{id}/content"), ("GET", "/v1/containers/{proxy+}")} | PAGE
    for route, each in routes(dev).items():
        integration = each["Integration"]
        streams = integration.get("ResponseTransferMode") == "STREAM"
        assert streams == (route in streaming) == ("response-streaming-invocations" in json.dumps(integration["Uri"]))
        assert streams == ("StreamFunction" in json.dumps(integration["Uri"]))
        assert integration["TimeoutInMillis"] == (900_000 if streams else 29_000)


def test_on_an_emulator_and_where_it_is_not_wanted_nothing_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")
    emulated = synth(log_days=7)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    for assembly in (synth(streaming=False), emulated):
        assert not [each for each in routes(assembly).values() if "streaming" in json.dumps(each["Integration"])]
        function = assembly.service["StreamFunction"]["Properties"]
        assert "AWS_LAMBDA_EXEC_WRAPPER" not in function["Environment"]["Variables"]
        assert function["Timeout"] == 29


def test_the_functions_end_when_the_gateway_does(dev: Assembly) -> None:
    assert dev.service["ApiFunction"]["Properties"]["Timeout"] == 29
    assert dev.service["StreamFunction"]["Properties"]["Timeout"] == 900


def test_the_streaming_function_starts_our_runtime_client_and_is_never_silent_for_long(dev: Assembly) -> None:
    variables = dev.service["StreamFunction"]["Properties"]["Environment"]["Variables"]
    wrapper = variables["AWS_LAMBDA_EXEC_WRAPPER"].removeprefix("/var/task/")
    assert (ROOT / "src" / wrapper).stat().st_mode & 0o111
    assert float(variables["ANSWER_SECONDS"]) < 300  # of silence, after which the gateway cuts
    for name in set(FUNCTIONS) - {"StreamFunction"}:
        assert "AWS_LAMBDA_EXEC_WRAPPER" not in dev.service[name]["Properties"]["Environment"]["Variables"]
    edge = synth(endpoint="edge", stream_seconds=30).service["StreamFunction"]["Properties"]["Environment"]["Variables"]
    assert float(edge["ANSWER_SECONDS"]) < 30


# ------------------------------------------------------------------ roles


def test_each_function_has_a_role_of_its_own(dev: Assembly) -> None:
    roles = {json.dumps(dev.service[name]["Properties"]["Role"]) for name in FUNCTIONS}
    assert len(roles) == len(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_role_may_do_anything_to_everything(dev: Assembly, name: str) -> None:
    for each in statements(dev, name):
        assert each["Effect"] == "Allow"
        assert "*" not in json.dumps([each["Action"], each["Resource"]]).replace('"/*"', '""')  # of one bucket


def test_what_each_role_may_do(dev: Assembly) -> None:
    (table,) = dev.of_type("AWS::DynamoDB::Table")
    queue = next(name for name, each in dev.of_type("AWS::SQS::Queue").items() if "RedrivePolicy" in each)
    (bucket,) = dev.of_type("AWS::S3::Bucket")
    files = {(f"s3:{each}Object", f"{bucket}/*") for each in ("Get", "Put", "Delete")} | {("s3:ListBucket", bucket)}
    stored = {(action, table) for action in STORE} | {("sqs:SendMessage", queue)}
    running = stored | files
    model = ("secretsmanager:GetSecretValue", "OpenAiKey")
    for name in ("ApiFunction", "StreamFunction"):
        assert without_log(dev, name) == running | {model, ("secretsmanager:GetSecretValue", "ApiKeys")}
    received = ("ReceiveMessage", "ChangeMessageVisibility", "GetQueueUrl", "DeleteMessage", "GetQueueAttributes")
    assert without_log(dev, "WorkerFunction") == running | {model} | {(f"sqs:{each}", queue) for each in received}
    # It ends what has waited for too long, of any owner; it reads no file.
    assert without_log(dev, "SweepFunction") == stored | {("s3:DeleteObject", f"{bucket}/*")}


def without_log(assembly: Assembly, function: str) -> set[tuple[str, str]]:
    """What it may do besides writing its own log."""
    log = assembly.service[function]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
    own = {("logs:CreateLogStream", log), ("logs:PutLogEvents", log)}
    found = permissions(assembly, function)
    assert own <= found
    return found - own


def test_the_sweep_may_do_what_it_does(dev: Assembly) -> None:
    """It asks for more partitions than can be listed: those of owners, whose runs have waited for too long."""
    (about,) = [each for each in statements(dev, "SweepFunction") if "dynamodb:Query" in each["Action"]]
    assert "Condition" not in about
    assert set(STORE) <= set(about["Action"])


def test_only_who_answers_requests_knows_the_keys(dev: Assembly) -> None:
    knows = {
        name for name in FUNCTIONS if "API_KEYS_SECRET" in dev.service[name]["Properties"]["Environment"]["Variables"]
    }
    assert knows == {"ApiFunction", "StreamFunction"}


# ------------------------------------------------------------------ queue


def test_what_nobody_can_work_on_ends_among_the_dead_letters(dev: Assembly) -> None:
    queues = dev.of_type("AWS::SQS::Queue")
    (queue,) = [each for each in queues.values() if "RedrivePolicy" in each]
    dead = queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
    assert queues[dead]["MessageRetentionPeriod"] == 14 * 24 * 3600
    assert queue["VisibilityTimeout"] > dev.service["WorkerFunction"]["Properties"]["Timeout"]
    (mapping,) = dev.of_type("AWS::Lambda::EventSourceMapping").values()
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"]["MaximumConcurrency"] == 5
    # Reserved concurrency is an option: of a new account's 10 in all, 10 must stay unreserved.
    assert "ReservedConcurrentExecutions" not in dev.text()
    assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5  # what is throttled counts too
    assert all(each["SqsManagedSseEnabled"] for each in queues.values())


def test_a_run_may_be_handed_over_as_often_as_it_needs(dev: Assembly) -> None:
    """Lambda stops what sends to its own queue 16 times, if it is not told that this is meant."""
    assert dev.service["WorkerFunction"]["Properties"]["RecursiveLoop"] == "Allow"


def test_somebody_looks_every_minute_for_runs_that_nobody_works_on(dev: Assembly) -> None:
    (rule,) = dev.of_type("AWS::Events::Rule").values()
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 minute)", "ENABLED")


# ------------------------------------------------------------------ the address


def test_the_routes_and_who_answers_them(dev: Assembly) -> None:
    answers = {
        route: "Stream" if "StreamFunction" in json.dumps(each) else "Api" for route, each in routes(dev).items()
    }
    assert answers == {
        ("GET", "/health"): "Api",
        ("HEAD", "/health"): "Api",
        ("ANY", "/health"): "Api",
        ("GET", "/"): "Stream",  # the page: bytes go as they are, and what it asks first finds the function started
        ("HEAD", "/"): "Stream",
        ("ANY", "/"): "Api",
        ("GET", "/page/{proxy+}"): "Stream",
        ("HEAD", "/page/{proxy+}"): "Stream",
        ("ANY", "/page/{proxy+}"): "Api",
        ("POST", "/v1/responses"): "Stream",
        ("GET", "/v1/responses/{id}"): "Stream",
        ("ANY", "/v1/responses/{id}"): "Api",
        ("ANY", "/v1/responses/{id}/{proxy+}"): "Api",
        ("ANY", "/v1/responses"): "Api",
        ("ANY", "/v1/files"): "Api",
        ("ANY", "/v1/files/{id}"): "Api",
        ("GET", "/v1/files/{id}/content"): "Stream",  # as it is, and as long as it is
        ("ANY", "/v1/files/{id}/content"): "Api",
        ("GET", "/v1/containers/{proxy+}"): "Stream",  # likewise
        ("ANY", "/v1/containers/{proxy+}"): "Api",
        ("ANY", "/v1/containers"): "Api",
        ("ANY", "/completion"): "Api",
        ("POST", "/{proxy+}"): "Stream",
        ("ANY", "/{proxy+}"): "Api",
    }


def answering(there: Collection[tuple[str, str]], method: str, path: str) -> tuple[str, str]:
    """Return the route of the gateway for a request: of the most specific path, and its method before ANY."""
    fitting = [
        each for _, each in there if re.fullmatch(re.sub(r"{\w+}", "[^/]+", each).replace("{proxy+}", ".+"), path)
    ]
    chosen = max(fitting, key=lambda each: ("+" not in each, len(each.split("/")), "{" not in each))
    return (method, chosen) if (method, chosen) in there else ("ANY", chosen)


def test_every_route_that_streams_is_led_to_the_function_that_does(dev: Assembly) -> None:
    document = json.loads((ROOT / "docs" / "openapi.json").read_text())
    streaming = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if any("text/event-stream" in each.get("content", {}) for each in operation["responses"].values())
    }
    streaming |= {("GET", path) for path in document["paths"] if path.endswith("/content")}
    there = routes(dev)
    assert {("POST", "/v1/responses"), ("GET", "/v1/responses/{response_id}")} <= streaming
    for method, path in streaming:
        found = there[answering(there, method, path.replace("{", "").replace("}", ""))]
        assert "StreamFunction" in json.dumps(found["Integration"]["Uri"]), (method, path)


def test_no_level_of_the_gateway_has_two_variables(dev: Assembly) -> None:
    """API Gateway refuses the second, greedy or not: \"only one is allowed\"."""
    variables = [
        json.dumps(each["ParentId"])
        for each in dev.of_type("AWS::ApiGateway::Resource").values()
        if each["PathPart"].startswith("{")
    ]
    assert len(variables) == len(set(variables)) == 6


def test_the_gateway_answers_nothing_by_itself(dev: Assembly) -> None:
    for each in routes(dev).values():
        assert each["Integration"]["Type"] == "AWS_PROXY"


def test_without_the_page_nothing_of_it_is_there() -> None:
    assembly = synth(auth="iam", page=False)
    there = routes(assembly)
    assert not [path for _, path in there if path.startswith("/page")]
    assert there["ANY", "/"]["AuthorizationType"] == "AWS_IAM"
    assert not PAGE & there.keys()
    for name in ("ApiFunction", "StreamFunction"):
        assert assembly.service[name]["Properties"]["Environment"]["Variables"]["PAGE"] == "0"


def test_the_page_is_answered_whole_where_nothing_streams() -> None:
    for route, each in routes(synth(streaming=False)).items():
        if route in PAGE:
            assert (each["Integration"].get("ResponseTransferMode"), "Stream" in str(each)) != ("STREAM", True)


def test_with_iam_only_health_and_the_page_are_open() -> None:
    assembly = synth(auth="iam")
    kinds = {route: each["AuthorizationType"] for route, each in routes(assembly).items()}
    assert {route for route, kind in kinds.items() if kind == "NONE"} == OPEN
    assert set(kinds.values()) == {"NONE", "AWS_IAM"}
    for name in ("ApiFunction", "StreamFunction"):
        variables = assembly.service[name]["Properties"]["Environment"]["Variables"]
        assert variables["AUTH"] == "iam"
        assert "API_KEYS_SECRET" not in variables
        assert ("secretsmanager:GetSecretValue", "ApiKeys") not in permissions(assembly, name)


def test_with_an_issuer_the_functions_know_it() -> None:
    """The worker too, whose settings would refuse the variables that belong to AUTH=jwt alone."""
    variables = {"JWT_OPERATOR_CLAIM": "admin", "PAGE_CLIENT_ID": "page"}
    assembly = synth(auth="jwt", jwt_issuer="https://issuer.example.com", jwt_audience="agencies", variables=variables)
    for name in ("ApiFunction", "StreamFunction", "WorkerFunction"):
        variables = assembly.service[name]["Properties"]["Environment"]["Variables"]
        assert {each: variables[each] for each in ("AUTH", "JWT_ISSUER", "JWT_AUDIENCE")} == {
            "AUTH": "jwt",
            "JWT_ISSUER": "https://issuer.example.com",
            "JWT_AUDIENCE": "agencies",
        }


def test_no_function_is_told_that_nobody_needs_a_key(dev: Assembly) -> None:
    """Without AUTH it is `keys` on Lambda, and `none` is refused there (tests of the settings)."""
    for name in FUNCTIONS:
        assert "AUTH" not in dev.service[name]["Properties"]["Environment"]["Variables"]


def test_the_address_is_regional_throttled_logged_and_asks_for_tls_1_2(dev: Assembly) -> None:
    (api,) = dev.of_type("AWS::ApiGateway::RestApi").values()
    assert api["EndpointConfiguration"]["Types"] == ["REGIONAL"]
    assert api["SecurityPolicy"].startswith("SecurityPolicy_TLS13_1_2")
    (edge,) = synth(endpoint="edge", stream_seconds=30).of_type("AWS::ApiGateway::RestApi").values()
    assert edge["SecurityPolicy"].startswith("SecurityPolicy_TLS12")
    (stage,) = dev.of_type("AWS::ApiGateway::Stage").values()
    (settings,) = stage["MethodSettings"]
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (50, 100)
    assert settings["DataTraceEnabled"] is False
    assert "LoggingLevel" not in settings  # execution logs repeat the headers, so the keys
    logged = json.loads(stage["AccessLogSetting"]["Format"])
    assert {"request_id", "function_request_id", "status", "ip"} <= logged.keys()
    assert not {"authorization", "header"} & set(json.dumps(logged).lower().split("."))


NAMED = {
    *("ACCESS_DENIED", "EXPIRED_TOKEN", "INVALID_API_KEY", "INVALID_SIGNATURE", "MISSING_AUTHENTICATION_TOKEN"),
    *("UNAUTHORIZED", "THROTTLED", "QUOTA_EXCEEDED", "REQUEST_TOO_LARGE", "RESOURCE_NOT_FOUND"),
    *("UNSUPPORTED_MEDIA_TYPE", "WAF_FILTERED", "INTEGRATION_TIMEOUT", "DEFAULT_4XX", "DEFAULT_5XX"),
}


def gateway_errors(assembly: Assembly) -> dict[str, dict[str, Any]]:
    found = assembly.of_type("AWS::ApiGateway::GatewayResponse").values()
    return {each["ResponseType"]: each for each in found}


def test_errors_of_the_gateway_read_like_ours(dev: Assembly) -> None:
    answers = gateway_errors(dev)
    assert answers.keys() == NAMED
    for name, each in answers.items():
        error = json.loads(each["ResponseTemplates"]["application/json"])["error"]
        assert error.keys() == {"message", "type", "param", "code", "request_id"}
        assert error["code"] == error["code"].lower()
        assert error["message"].removesuffix(".")
        headers = each["ResponseParameters"]
        assert headers["gatewayresponse.header.x-request-id"] == "context.requestId"
        assert error["request_id"] == "$context.requestId"
        assert ("gatewayresponse.header.retry-after" in headers) == (error["type"] == "rate_limit_error")
        assert ("gatewayresponse.header.x-should-retry" in headers) == (error["type"] == "server_error")
        assert not [header for header in headers if "access-control" in header], name  # no page may call


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [("https://App.example.com", "'https://app.example.com'"), ("https://a.example.com, https://b.example.com", "'*'")],
)
def test_an_allowed_page_reads_the_errors_of_the_gateway(origins: str, allowed: str) -> None:
    for each in gateway_errors(synth(variables={"CORS_ORIGINS": origins})).values():
        headers = each["ResponseParameters"]
        assert headers["gatewayresponse.header.access-control-allow-origin"] == allowed
        assert "x-request-id" in headers["gatewayresponse.header.access-control-expose-headers"]


def test_no_path_is_left_to_the_gateway(dev: Assembly) -> None:
    """Of a resource with GET alone it would answer POST and OPTIONS itself: 403, as if a token were missing."""
    there = routes(dev)
    assert {path for _, path in there} == {path for method, path in there if method == "ANY"}
    assert {"/", "/{proxy+}"} <= {path for _, path in there}


def test_a_domain_takes_the_place_of_the_default_address() -> None:
    arn = "arn:aws:acm:eu-central-1:123456789012:certificate/c"
    assembly = synth(domain_name="api.example.com", certificate_arn=arn)
    (domain,) = assembly.of_type("AWS::ApiGateway::DomainName").values()
    assert (domain["DomainName"], domain["SecurityPolicy"]) == ("api.example.com", "TLS_1_2")
    (api,) = assembly.of_type("AWS::ApiGateway::RestApi").values()
    assert api["DisableExecuteApiEndpoint"] is True
    assert assembly.outputs()["Url"]["Value"] == "https://api.example.com"
    assert "DomainTarget" in assembly.outputs()


def test_a_firewall_when_it_is_asked_for(dev: Assembly) -> None:
    assert not dev.of_type("AWS::WAFv2::WebACL")
    assembly = synth(waf=True, waf_requests=300)
    (access,) = assembly.of_type("AWS::WAFv2::WebACL").values()
    (rule,) = access["Rules"]
    assert rule["Statement"]["RateBasedStatement"] == {"Limit": 300, "AggregateKeyType": "IP"}
    assert rule["Action"] == {"Block": {}}
    (association,) = assembly.of_type("AWS::WAFv2::WebACLAssociation").values()
    assert "DeploymentStage" in json.dumps(association["ResourceArn"])


# ------------------------------------------------------------------ who is told


def test_what_raises_an_alarm(dev: Assembly) -> None:
    alarms = dev.of_type("AWS::CloudWatch::Alarm")
    metrics = [each["MetricName"] for each in alarms.values()]
    assert metrics.count("Errors") == metrics.count("Throttles") == len(FUNCTIONS)
    assert set(metrics) == {
        *("Errors", "Throttles", "Duration", "ApproximateNumberOfMessagesVisible"),
        *("ServerErrors", "ExpiredLeases", "NestedEntries", "ModelFailures", "TotalTokens"),
        *("AgenciesNotConfigured", "BudgetAlarms", "BudgetOverruns"),
    }
    (topic,) = dev.of_type("AWS::SNS::Topic")
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}]
        assert alarm["TreatMissingData"] == "notBreaching"


def test_alarms_can_be_left_out() -> None:
    assembly = synth(alarms=False)
    assert not assembly.of_type("AWS::CloudWatch::Alarm")
    assert assembly.of_type("AWS::CloudWatch::Dashboard")


@pytest.mark.parametrize("service", ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"])
def test_what_tells_the_topic_is_allowed_to(service: str) -> None:
    """Its policy takes the place of SNS's own, which would allow it."""
    assembly = synth(alarm_email="ops@example.com", monthly_budget=50)
    (policy,) = assembly.of_type("AWS::SNS::TopicPolicy").values()
    (allow,) = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert service in allow["Principal"]["Service"]
    assert (allow["Effect"], allow["Action"]) == ("Allow", "sns:Publish")
    assert allow["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_metrics_of_the_alarms_are_those_that_the_service_writes(dev: Assembly) -> None:
    source = (ROOT / "src" / "agency_lambda" / "telemetry.py").read_text()
    named = {each["MetricName"] for each in dev.of_type("AWS::CloudWatch::Alarm").values()}
    ours = [each for each in dev.of_type("AWS::CloudWatch::Alarm").values() if each["Namespace"] == "AgencyLambda"]
    assert named
    for each in ours:
        written = "".join(f"_{c.lower()}" if c.isupper() else c for c in each["MetricName"]).removeprefix("_")
        assert f'"{each["MetricName"]}"' in source or f'"{written}"' in source, each["MetricName"]
        assert each["Dimensions"] == [{"Name": "service", "Value": "agency-lambda-dev"}]
    for name in FUNCTIONS:
        variables = dev.service[name]["Properties"]["Environment"]["Variables"]
        assert variables["POWERTOOLS_SERVICE_NAME"] == "agency-lambda-dev"


def test_a_mail_and_a_budget_when_they_are_asked_for(dev: Assembly) -> None:
    assert not dev.of_type("AWS::Budgets::Budget")
    assembly = synth(alarm_email="ops@example.com", monthly_budget=50)
    (subscription,) = assembly.of_type("AWS::SNS::Subscription").values()
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "ops@example.com")
    (budget,) = assembly.of_type("AWS::Budgets::Budget").values()
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 50, "Unit": "USD"}


# ------------------------------------------------------------------ where, and how a version comes


def test_the_stacks_go_where_the_environment_says(dev: Assembly) -> None:
    def places(assembly: Assembly) -> set[str]:
        manifest = json.loads((assembly.folder / "manifest.json").read_text())
        return {each["environment"] for each in manifest["artifacts"].values() if "environment" in each}

    assert places(dev) == {"aws://unknown-account/unknown-region"}  # of the shell
    assert places(synth(account="123456789012", region="eu-central-1")) == {"aws://123456789012/eu-central-1"}


@pytest.mark.parametrize("groups", [[], ["sg-0a15c9d2"]])
def test_in_a_vpc_each_function_may_make_interfaces_and_its_code_may_not(dev: Assembly, groups: list[str]) -> None:
    assert "VpcConfig" not in dev.text()
    assembly = synth(vpc_id="vpc-0a15c9d2", subnets=["subnet-0a15c9d2", "subnet-0b25c9d2"], security_groups=groups)
    made = assembly.of_type("AWS::EC2::SecurityGroup")
    assert len(made) == (0 if groups else 1)
    assert all(not each.get("SecurityGroupIngress") for each in made.values())
    for name in FUNCTIONS:
        config = assembly.service[name]["Properties"]["VpcConfig"]
        assert config["SubnetIds"] == ["subnet-0a15c9d2", "subnet-0b25c9d2"]
        assert config["SecurityGroupIds"] == (groups or [{"Fn::GetAtt": [next(iter(made)), "GroupId"]}])
        interfaces = [each for each in statements(assembly, name) if "ec2:CreateNetworkInterface" in each["Action"]]
        allowed, denied = sorted(interfaces, key=lambda each: str(each["Effect"]))
        assert (allowed["Effect"], denied["Effect"]) == ("Allow", "Deny")
        assert allowed["Action"] == denied["Action"]
        assert "lambda:SourceFunctionArn" in denied["Condition"]["ArnLike"]
        assert "Condition" not in allowed
    assert nag(assembly) == "success"


def test_a_gradual_deployment_shifts_each_alias_and_an_alarm_rolls_it_back(dev: Assembly) -> None:
    assert not dev.of_type("AWS::CodeDeploy::DeploymentGroup")
    assembly = synth(gradual="canary_10_percent_5_minutes")
    groups = assembly.of_type("AWS::CodeDeploy::DeploymentGroup")
    shifted = {
        each["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["DeploymentGroupName"]["Ref"]: each["Properties"]
        for each in assembly.service.values()
        if each["Type"] == "AWS::Lambda::Alias" and "UpdatePolicy" in each
    }
    assert shifted.keys() == groups.keys()
    assert {each["FunctionName"]["Ref"] for each in shifted.values()} == set(FUNCTIONS[:3])
    alarms = assembly.of_type("AWS::CloudWatch::Alarm")
    for group in groups.values():
        assert "LambdaCanary10Percent5Minutes" in json.dumps(group["DeploymentConfigName"])
        assert group["AutoRollbackConfiguration"]["Enabled"] is True
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        assert group["AlarmConfiguration"]["Enabled"] is True
        watched = {alarms[each["Name"]["Ref"]]["MetricName"] for each in group["AlarmConfiguration"]["Alarms"]}
        assert watched == {"Errors", "Throttles", "ServerErrors"}
    assert nag(assembly) == "success"


# ------------------------------------------------------------------ the whole


def nag(assembly: Assembly) -> str:
    (report,) = json.loads((assembly.folder / "validation-report.json").read_text())["pluginReports"]
    return str(report["conclusion"])


def test_the_well_architected_checks_pass(dev: Assembly) -> None:
    report = json.loads((dev.folder / "validation-report.json").read_text())
    (nag,) = report["pluginReports"]
    assert (nag["pluginName"], nag["conclusion"]) == ("AwsSolutions", "success")
    for each in nag["suppressedViolations"]:
        assert len(each["reason"]) > 20


def test_two_environments_live_in_one_account(dev: Assembly, production: Assembly) -> None:
    names = (
        "StageName",
        "TableName",
        "QueueName",
        "FunctionName",
        "RoleName",
        "LogGroupName",
        "TopicName",
        "AlarmName",
    )
    for kind, where in ((dev, "dev"), (production, "production")):
        for resource in {**kind.data, **kind.service}.values():
            fixed = {name: value for name, value in resource.get("Properties", {}).items() if name in names}
            assert all(value == where or not isinstance(value, str) for value in fixed.values()), fixed
    (board,) = dev.of_type("AWS::CloudWatch::Dashboard").values()
    (other,) = production.of_type("AWS::CloudWatch::Dashboard").values()
    assert board["DashboardName"] != other["DashboardName"]


def test_the_assembly_names_no_program_to_run(dev: Assembly) -> None:
    """The job that deploys would refuse it."""
    assert not [path.name for path in dev.folder.rglob("*.json") if '"executable"' in path.read_text()]


def test_what_users_and_scripts_rely_on_keeps_its_name(dev: Assembly) -> None:
    assert set(FUNCTIONS) <= dev.service.keys()
    assert "Url" in dev.outputs()


def test_metrics_of_each_agency_are_a_switch(dev: Assembly) -> None:
    off = synth(metrics_by_agency=False)
    for assembly, switch in ((dev, "1"), (off, "0")):
        variables = assembly.service["WorkerFunction"]["Properties"]["Environment"]["Variables"]
        (board,) = assembly.of_type("AWS::CloudWatch::Dashboard").values()
        assert variables["METRICS_BY_AGENCY"] == switch
        body = json.dumps(board["DashboardBody"])
        for metric in ("ModelCalls", "QueueAge"):
            searched = rf"{{AgencyLambda,service,agency}} MetricName=\\\"{metric}\\\""
            assert (searched in body) == (switch == "1"), metric
        assert "AgentMessages" in body


def test_x_ray_is_a_switch(dev: Assembly) -> None:
    traced = synth(xray=True)
    for assembly, mode in ((dev, None), (traced, "Active")):
        modes = [
            each.get("TracingConfig", {}).get("Mode") for each in assembly.of_type("AWS::Lambda::Function").values()
        ]
        assert set(modes) == {mode}
        (stage,) = assembly.of_type("AWS::ApiGateway::Stage").values()
        assert stage.get("TracingEnabled", False) is (mode == "Active")
    policies = json.dumps(traced.of_type("AWS::IAM::Policy"))
    assert ("xray:PutTraceSegments" in policies, "xray:" in json.dumps(dev.of_type("AWS::IAM::Policy"))) == (
        True,
        False,
    )


def test_a_collector_that_is_down_raises_an_alarm_where_there_is_one(dev: Assembly) -> None:
    collector = synth(variables={"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example.com"})
    for assembly, number in ((dev, 0), (collector, 1)):
        metrics = [each.get("MetricName") for each in assembly.of_type("AWS::CloudWatch::Alarm").values()]
        assert metrics.count("ExportFailures") == number
