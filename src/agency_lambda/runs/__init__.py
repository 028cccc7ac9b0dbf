"""Runs: a request becomes a run of an agency, on the history that it continues."""

from agency_lambda.runs.attempt import Run
from agency_lambda.runs.service import Runs

__all__ = ["Run", "Runs"]
