"""Runs: a request becomes a run of an agency, on the history that it continues."""

from handler.runs.beginning import Runs
from handler.runs.run import Run

__all__ = ["Run", "Runs"]
