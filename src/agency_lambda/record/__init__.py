"""What the stored rows of runs say, for callers and operators."""
