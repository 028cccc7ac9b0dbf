"""Put a value into a secret without showing it: `python scripts/put_secret.py SECRET`, the value typed or piped in."""

import sys
from getpass import getpass

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from agency_lambda.validators import bearer_key


def main() -> None:
    if len(sys.argv) != 2 or not sys.argv[1]:
        sys.exit("Nothing stored: write make model-key SECRET=..., as `make deploy` prints it")
    value = (getpass("The key (it is not shown): ") if sys.stdin.isatty() else sys.stdin.readline()).strip()
    try:
        bearer_key(value)
    except ValueError as error:
        sys.exit(f"Nothing stored: the key {error}")
    try:
        boto3.session.Session().client("secretsmanager").put_secret_value(SecretId=sys.argv[1], SecretString=value)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"Nothing stored: {error}")
    print("Stored. The functions use it within a minute.")


if __name__ == "__main__":
    main()
