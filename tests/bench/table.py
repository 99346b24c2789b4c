"""Rows of the benchmark table: what was measured, against what, and whether the aim holds."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from typing_extensions import override


@dataclass(frozen=True)
class Aim:
    """A bound on a row's value or on its ratio to the reference."""

    of: Literal["ours", "ratio"]
    relation: Literal["<=", ">=", ">"]
    bound: float

    def holds(self, ours: float, ratio: float | None) -> bool:
        value = ours if self.of == "ours" else ratio
        if value is None:
            raise ValueError("an aim on the ratio needs a reference")
        match self.relation:
            case "<=":
                return value <= self.bound
            case ">=":
                return value >= self.bound
            case ">":
                return value > self.bound

    @override
    def __str__(self) -> str:
        return f"{self.of} {self.relation} {self.bound:g}"


@dataclass(frozen=True)
class Row:
    """One figure. `reference` was measured in the same run, beside it, or is None for an absolute figure."""

    name: str
    unit: str
    ours: float
    reference: float | None = None
    aim: Aim | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.ours / self.reference if self.reference else None

    @property
    def holds(self) -> bool | None:
        """Whether the aim holds; None where there is only a figure to report."""
        return self.aim.holds(self.ours, self.ratio) if self.aim else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def print_table(rows: Sequence[Row]) -> None:
    table = Table(title="DreamHub benchmarks")
    for column in ("name", "unit", "ours", "reference", "ratio", "aim", "holds", "note"):
        table.add_column(column, justify="right" if column in {"ours", "reference", "ratio"} else "left")
    for row in rows:
        verdict = {True: "yes", False: "NO", None: ""}[row.holds]
        aim = str(row.aim or "")
        table.add_row(
            row.name, row.unit, _number(row.ours), _number(row.reference), _number(row.ratio), aim, verdict, row.note
        )
    Console(width=180).print(table)


def write_json(rows: Sequence[Row], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [asdict(row) | {"aim": str(row.aim or ""), "ratio": row.ratio, "holds": row.holds} for row in rows]
    path.write_text(json.dumps(records, indent=2) + "\n")
