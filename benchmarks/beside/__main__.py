"""`python -m benchmarks.beside [--quick] [--only ours]`."""

import argparse
import asyncio

from benchmarks import machine, report
from benchmarks.beside import one_client
from benchmarks.beside.measure import measure
from benchmarks.beside.ours import ours
from benchmarks.beside.server import provider, serving
from benchmarks.timing import percentile


async def only_ours(rounds: int, times: int) -> None:
    """Print CPU and wall of this checkout's runs, its forms in turn."""
    with provider() as model, serving(ours(), model.url) as server:
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


def main() -> None:
    """Measure, and print."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.beside")
    arguments.add_argument("--quick", action="store_true", help="few rounds, and the two nearest peers")
    arguments.add_argument("--only", choices=["ours"], help="runs of this checkout alone, in seconds")
    chosen = arguments.parse_args()
    if chosen.only:
        asyncio.run(only_ours(6, 8))
    else:
        print(report.tables(machine.describe(), measure(quick=chosen.quick)))


if __name__ == "__main__":
    main()
