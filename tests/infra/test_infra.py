"""Promises about whatever is in `infra/`; src/agency_lambda_cdk/testing.py says which."""

from agency_lambda_cdk.testing import *  # noqa: F403
from infra.app import add_stacks as add_stacks
from infra.environments import ENVIRONMENTS as ENVIRONMENTS
