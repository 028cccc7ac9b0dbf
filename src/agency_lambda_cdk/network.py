"""Functions in a VPC of the account."""

from typing import Any

from aws_cdk import Acknowledgment, Arn, ArnComponents, Stack, Validations
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from agency_lambda_cdk.environment import Environment

_MANAGE_INTERFACES = (  # none of them can be limited to one interface: https://docs.aws.amazon.com/lambda, "VPC"
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)


class Network(Construct):
    """Name the subnets and security groups of an environment with `vpc_id`, without looking them up."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(scope, construct_id)
        zones = [f"{Stack.of(self).region}-{index}" for index, _ in enumerate(environment.subnets)]  # of no consequence
        self._vpc = ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=environment.vpc_id,
            availability_zones=zones,
            private_subnet_ids=list(environment.subnets),
        )
        self._security_groups: list[ec2.ISecurityGroup] = [
            ec2.SecurityGroup.from_security_group_id(self, each, each) for each in environment.security_groups
        ] or [ec2.SecurityGroup(self, "SecurityGroup", vpc=self._vpc, description=f"{environment.stack}: functions")]

    def place(self, role: iam.Role) -> dict[str, Any]:
        """Return a function's arguments, and let Lambda, but not the function's code, make its interfaces."""
        interfaces: dict[str, Any] = {"actions": list(_MANAGE_INTERFACES), "resources": ["*"]}
        role.add_to_policy(iam.PolicyStatement(**interfaces))
        every = Arn.format(ArnComponents(service="lambda", resource="function:*"), Stack.of(self))
        code = {"ArnLike": {"lambda:SourceFunctionArn": every}}
        role.add_to_policy(iam.PolicyStatement(effect=iam.Effect.DENY, conditions=code, **interfaces))
        Validations.of(role).acknowledge(
            Acknowledgment(
                id="AwsSolutions::AwsSolutions-IAM5[Resource::*]",
                reason="Lambda makes network interfaces with this role; the code of the function is denied the same",
            )
        )
        return {"vpc": self._vpc, "security_groups": self._security_groups, "vpc_subnets": self._subnets()}

    def _subnets(self) -> ec2.SubnetSelection:
        return ec2.SubnetSelection(subnets=self._vpc.private_subnets)
