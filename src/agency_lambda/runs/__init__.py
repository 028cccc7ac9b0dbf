"""Runs: a request becomes a run of an agency, on the history that it continues."""

from agency_lambda.runs.attempt import Attempt
from agency_lambda.runs.service import RunService

__all__ = ["Attempt", "RunService"]
