"""AWS WAF in front of the API."""

from aws_cdk import aws_apigateway as gateway
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from agency_lambda_cdk.environment import Environment


class Firewall(Construct):
    """Block an address that sends more than `waf_requests` in 5 minutes."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment, stage: gateway.Stage) -> None:
        super().__init__(scope, construct_id)
        access = waf.CfnWebACL(
            self,
            "Access",
            scope="REGIONAL",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visible("access"),
            rules=[
                waf.CfnWebACL.RuleProperty(
                    name="too-much",
                    priority=0,
                    action=waf.CfnWebACL.RuleActionProperty(block={}),
                    statement=waf.CfnWebACL.StatementProperty(
                        rate_based_statement=waf.CfnWebACL.RateBasedStatementProperty(
                            limit=environment.waf_requests, aggregate_key_type="IP"
                        )
                    ),
                    visibility_config=_visible("too-much"),
                )
            ],
        )
        waf.CfnWebACLAssociation(self, "Association", resource_arn=stage.stage_arn, web_acl_arn=access.attr_arn)


def _visible(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    return waf.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )
