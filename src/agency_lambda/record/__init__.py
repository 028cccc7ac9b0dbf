"""What the stored rows of runs say: lists, for callers and for operators."""
