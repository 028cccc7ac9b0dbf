"""The table, the bucket of files and the secrets."""

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, Stack, Validations
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from agency_lambda_cdk.environment import Environment


class Table(dynamodb.Table):
    """Store everything of every owner. In production it outlives its stack."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(
            scope,
            construct_id,
            partition_key=dynamodb.Attribute(name="partition", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sort", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,  # costs nothing while nobody asks
            time_to_live_attribute="expires",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            deletion_protection=environment.production,
            removal_policy=_removal(environment),
        )


class FileBucket(s3.Bucket):
    """Store the bytes of files. In production it outlives its stack; otherwise it is empty when that is deleted."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(
            scope,
            construct_id,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            cors=_forms_of(environment),
            lifecycle_rules=[
                # The sweep deletes files sooner; this is for bytes that nothing names any more.
                s3.LifecycleRule(expiration=Duration.days(31), abort_incomplete_multipart_upload_after=Duration.days(1))
            ],
            removal_policy=_removal(environment),
        )
        if self.policy:
            self.policy.apply_removal_policy(_removal(environment))
        reason = "the functions' logs say who has asked for which file; access logs would need a bucket more"
        Validations.of(self).acknowledge(Acknowledgment(id="AwsSolutions::AwsSolutions-S1", reason=reason))

    def acknowledge_objects(self, role: iam.Role) -> None:
        """Tell cdk-nag that a role may use every object of the bucket."""
        mine, resource = Stack.of(self), self.node.default_child
        assert isinstance(resource, s3.CfnBucket)
        name = f"<{mine.get_logical_id(resource)}.Arn>"
        if mine is not Stack.of(role):
            name = mine.resolve(mine.export_value(self.bucket_arn))["Fn::ImportValue"]
        finding = f"AwsSolutions::AwsSolutions-IAM5[Resource::{name}/*]"
        reason = "each file is an object of this bucket, which holds nothing else"
        Validations.of(role).acknowledge(Acknowledgment(id=finding, reason=reason))


def _forms_of(environment: Environment) -> list[s3.CorsRule] | None:
    """Let pages of CORS_ORIGINS send the forms of uploads."""
    origins = [each.strip() for each in environment.variables.get("CORS_ORIGINS", "").split(",") if each.strip()]
    methods = [s3.HttpMethods.POST]
    rule = s3.CorsRule(allowed_methods=methods, allowed_origins=origins, allowed_headers=["*"], max_age=600)
    return [rule] if origins else None


class EmptySecret(secretsmanager.CfnSecret):
    """A secret without a value: one that CloudFormation wrote could be read in the template."""

    def __init__(self, scope: Construct, construct_id: str, *, description: str, environment: Environment) -> None:
        super().__init__(scope, construct_id, description=description)
        self.apply_removal_policy(_removal(environment))
        Validations.of(self).acknowledge(
            Acknowledgment(id="AwsSolutions::AwsSolutions-SMG4", reason="nothing can issue these anew but their owner")
        )

    @property
    def arn(self) -> str:
        return self.ref


def _removal(environment: Environment) -> RemovalPolicy:
    return RemovalPolicy.RETAIN if environment.production else RemovalPolicy.DESTROY
