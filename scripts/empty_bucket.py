"""Delete every file of a deployment, whose bucket can be deleted then: `python scripts/empty_bucket.py STACK`."""

import sys
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

_BUCKET = "AWS::S3::Bucket"


def main() -> None:
    session = boto3.session.Session()
    try:
        for bucket in _buckets(session.client("cloudformation"), sys.argv[1]):
            empty(session.client("s3"), bucket)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"The files are still there: {error}")


def _buckets(cloudformation: Any, stack: str) -> list[str]:
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    resources = [each for page in pages for each in page["StackResourceSummaries"]]
    return [each["PhysicalResourceId"] for each in resources if each["ResourceType"] == _BUCKET]


def empty(s3: Any, bucket: str) -> None:
    """Delete all objects of a bucket."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        objects = [{"Key": each["Key"]} for each in page.get("Contents", [])]
        if objects:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})


if __name__ == "__main__":
    main()
