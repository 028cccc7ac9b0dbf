"""This project beside what people run instead: the same flow, over HTTP, with one model provider on loopback.

`python -m benchmarks.beside` prints the tables; `--only ours` measures this checkout alone, in seconds.
"""
