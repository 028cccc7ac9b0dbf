"""What the stored rows of runs say: lists and traces, for callers and for operators."""
