"""The promises about infra/ notice what an adopter may get wrong, and accept a resource of their own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cdk import App, CfnResource, Stack
from aws_cdk import aws_dynamodb as dynamodb

from agency_lambda_cdk import Environment, Table, testing
from tests.library.cdk.stacks import ENVIRONMENTS, add_stacks

type Change = Callable[[Stack, Stack], object]  # of the data stack and the service stack


def resource(kind: str, **properties: object) -> Change:
    return lambda data, service: CfnResource(service, "Mine", type=kind, properties=properties)


def rename_table(data: Stack, service: Stack) -> None:
    table = data.node.find_child("Table").node.default_child
    assert isinstance(table, dynamodb.CfnTable)
    table.override_logical_id("Another")


def templates(change: Change) -> testing.Templates:
    def changed(app: App, environment: Environment, code: Path) -> None:
        add_stacks(app, environment, code)
        data, service = (app.node.find_child(f"{environment.stack}{suffix}") for suffix in ("-data", ""))
        assert isinstance(data, Stack)
        assert isinstance(service, Stack)
        change(data, service)

    return testing.synthesize_templates(changed, ENVIRONMENTS, {})


def policy(action: str, resource_name: str = "arn:aws:s3:::mine") -> Change:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource_name}
    return resource("AWS::IAM::Policy", PolicyName="mine", PolicyDocument={"Statement": [statement]})


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        (policy("s3:*"), testing.test_each_function_has_a_role_of_its_own_that_allows_no_wildcard),
        (policy("s3:GetObject", "*"), testing.test_each_function_has_a_role_of_its_own_that_allows_no_wildcard),
        (resource("AWS::Logs::LogGroup"), testing.test_every_log_expires),
        (resource("AWS::SecretsManager::Secret", SecretString="sk-1"), testing.test_no_secret_is_in_a_template),
        (rename_table, testing.test_what_holds_data_keeps_its_name_and_outlives_a_production_stack),
        (resource("AWS::Lambda::Url", AuthType="NONE"), testing.test_nothing_else_is_public),
        (resource("AWS::Lambda::Permission", Principal="*"), testing.test_nothing_else_is_public),
        (
            resource("AWS::ApiGateway::Method", AuthorizationType="NONE", Integration={"Type": "MOCK"}),
            testing.test_no_route_is_open_that_the_service_does_not_guard,
        ),
    ],
)
def test_a_promise_that_is_broken_is_noticed(change: Change, promise: Callable[[testing.Templates], None]) -> None:
    with pytest.raises((AssertionError, KeyError)):
        promise(templates(change))


def test_a_table_of_ones_own_breaks_no_promise() -> None:
    found = templates(lambda data, service: Table(service, "Prices", environment=Environment()))
    for promise in (
        testing.test_each_function_has_a_role_of_its_own_that_allows_no_wildcard,
        testing.test_what_holds_data_keeps_its_name_and_outlives_a_production_stack,
        testing.test_checks_of_cdk_nag_pass,
    ):
        promise(found)
