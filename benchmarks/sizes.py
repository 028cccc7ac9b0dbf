"""Sizes of what is put on the Lambda, and how many modules of it run until the first answer."""

from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile

from agency_lambda_cdk import bundle
from benchmarks import modules, subjects, task_roots
from benchmarks.results import Measured, Ratio, Series
from benchmarks.subjects import AS_PIP_SHIPS_IT, OURS, WITH_BYTECODE

SECTION = "Size"
UNZIPPED, ZIPPED, MODULES = "unzipped", "zipped", "modules until the first answer"
_LIMIT = Series(SECTION, "Lambda's limit", UNZIPPED, "MB", (bundle.LIMIT / 1e6,))
_GOALS = {UNZIPPED: 75, ZIPPED: 27}  # MB


def measure(*, quick: bool) -> Measured:
    """Measure once, as nothing here varies. quick: without the zips of the peers, which take a minute."""
    ours = _folder(OURS, bundle.build(task_roots.ARCHITECTURE, task_roots.AGENTS))
    ours.append(
        Series(
            SECTION,
            OURS,
            ZIPPED,
            "MB",
            (bundle.zipped(task_roots.ARCHITECTURE, task_roots.AGENTS).stat().st_size / 1e6,),
        )
    )
    peers = {AS_PIP_SHIPS_IT: task_roots.as_pip_ships_it(), WITH_BYTECODE: task_roots.with_bytecode()}
    series = [_LIMIT, *ours]
    for name, folder in peers.items():
        series += _folder(name, folder)
        if not quick:
            series.append(Series(SECTION, name, ZIPPED, "MB", (_zipped(folder),)))
    return [*series, *_modules()], [_against_goal(each) for each in ours]


def _folder(name: str, folder: Path) -> list[Series]:
    return [Series(SECTION, name, UNZIPPED, "MB", (bundle.parts(folder).total() / 1e6,))]


def _zipped(folder: Path) -> float:
    with TemporaryDirectory() as scratch:
        archive = Path(scratch, "peer.zip")
        with ZipFile(archive, "w", ZIP_DEFLATED) as target:
            for path in folder.rglob("*"):
                target.write(path, path.relative_to(folder))
        return archive.stat().st_size / 1e6


def _modules() -> list[Series]:
    # Counts in the same order as the cold starts.
    with TemporaryDirectory() as folder:
        cases = [
            subjects.with_bytecode(),
            *subjects.floors(),
            subjects.ours(Path(folder), subjects.completion()),
            subjects.ours(Path(folder), subjects.completion(), f"{OURS}, DEFER_IMPORTS=0", DEFER_IMPORTS="0"),
            subjects.ours(Path(folder), subjects.health(), f"{OURS}, /health"),
        ]
        counts = {subject.name: float(len(modules.ran(subject, request))) for subject, request in cases}
    return [Series(SECTION, name, MODULES, "", (count,)) for name, count in counts.items()]


def _against_goal(size: Series) -> Ratio:
    goal = _GOALS[size.metric]
    return Ratio(SECTION, f"{size.metric}: {OURS} / {goal} MB", (size.median / goal,), 1)
