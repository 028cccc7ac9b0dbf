"""`python -m benchmarks.beside [--only ours]`."""

import argparse
import asyncio

from benchmarks.beside import one_client, peers
from benchmarks.beside.server import provider, serving
from benchmarks.timing import percentile


async def ours(rounds: int, times: int) -> None:
    """Measure this checkout alone, its forms in turn."""
    with provider() as model, serving(peers.ours(), model.url) as server:
        took = {form: one_client.nothing() for form in server.peer.forms}
        for form in took:
            await one_client.block(server, form, 5)
        calls = model.calls()
        for _ in range(rounds):
            for form, values in took.items():
                for metric, more in (await one_client.block(server, form, times)).items():
                    values[metric] += more
        runs = rounds * times * len(took)
        print(f"{runs} runs, {(model.calls() - calls) / runs:g} model calls each")
    for form, values in took.items():
        numbers = [f"{metric} {_spread(each)}" for metric, each in values.items()]
        print(f"{form.title}: {'; '.join(numbers)}")


def _spread(values: list[float]) -> str:
    return f"p50 {percentile(values, 50):.1f}, least {min(values):.1f}, p99 {percentile(values, 99):.1f} ms"


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.beside")
    arguments.add_argument("--only", choices=["ours"], default="ours")
    arguments.parse_args()
    asyncio.run(ours(6, 8))
