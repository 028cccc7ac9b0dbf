from dataclasses import dataclass


@dataclass(frozen=True)
class Principal:
    """is_operator: may see and stop the runs of every owner."""

    owner: str
    is_operator: bool = False
