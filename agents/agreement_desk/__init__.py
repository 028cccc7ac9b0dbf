"""The worked example: a desk that records what a client asks and writes the reply."""
