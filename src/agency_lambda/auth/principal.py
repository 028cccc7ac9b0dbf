from dataclasses import dataclass


@dataclass(frozen=True)
class Principal:
    """Who has sent a request. is_operator: may see and stop the runs of every owner, beside being an owner."""

    owner: str
    is_operator: bool = False
