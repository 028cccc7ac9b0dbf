"""The agencies that every subject of the benchmark serves; at the top of its task root."""

AGENCIES = {"bench": "bench_agency:create_agency", "one": "bench_agency:create_one"}
