"""What a measurement hands to the report: numbers by round, and ratios of two of them."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Series:
    """One thing measured several times.

    values[i] is from round i, in which all subjects were measured one after the other. unit: s, MB, ms, writes.
    keeps: what the subject stores, where subjects differ in that.
    """

    section: str
    subject: str
    metric: str
    unit: str
    values: tuple[float, ...]
    keeps: str = ""

    @property
    def median(self) -> float:
        return median(self.values)


@dataclass(frozen=True)
class Ratio:
    """One subject's metric over another's, round by round. name: what a reader reads. at_most: the goal, or None."""

    section: str
    name: str
    values: tuple[float, ...]
    at_most: float | None = None

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def met(self) -> bool:
        """Return whether the median keeps the goal; True where there is none."""
        return self.at_most is None or self.median <= self.at_most


type Measured = tuple[list[Series], list[Ratio]]
type Measure = Callable[..., Measured]  # measure(*, quick: bool)


def ratio(section: str, name: str, over: Series, under: Series, at_most: float | None = None) -> Ratio:
    """`over` divided by `under`, each with its own round: what slowed the machine for a while slowed both.

    Raises:
        ValueError: they do not have the same rounds.
    """
    values = tuple(one / other for one, other in zip(over.values, under.values, strict=True))
    return Ratio(section, name, values, at_most)
