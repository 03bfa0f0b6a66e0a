# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""Figures: gathered over the runs, printed, written as JSON, compared with earlier ones."""

import json
import pathlib
import statistics
import sys
from dataclasses import dataclass, field


@dataclass
class Figure:
    """One figure over all runs."""

    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def summary(self) -> tuple[float, float, float]:
        """Least, median, greatest."""
        return min(self.values), statistics.median(self.values), max(self.values)


def shown(value: float) -> str:
    """As many digits as mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


class Report:
    """All figures of one run of the suite."""

    def __init__(self) -> None:
        self.facts: dict[str, dict[str, str]] = {}
        self.figures: dict[str, Figure] = {}

    def fact(self, group: str, facts: dict[str, str]) -> None:
        """What the figures depend on; printed at once."""
        self.facts.setdefault(group, {}).update(facts)
        print(f"{group}: " + ", ".join(f"{name} {value}" for name, value in facts.items()), flush=True)

    def add(self, name: str, value: float, unit: str) -> None:
        """One run's value of a figure."""
        self.figures.setdefault(name, Figure(unit)).values.append(float(value))

    def show(self, prefix: str) -> None:
        """Prints the figures of one benchmark."""
        chosen = {name: figure for name, figure in self.figures.items() if name.split(".")[0] == prefix}
        width = max((len(name) for name in chosen), default=0)
        for name, figure in chosen.items():
            low, middle, high = (shown(value) for value in figure.summary)
            runs = len(figure.values)
            print(f"{name:{width}}  {low:>10} / {middle:>10} / {high:>10}  {figure.unit}  ({runs} runs)", flush=True)

    def write(self, path: pathlib.Path) -> None:
        """Writes everything."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "facts": self.facts,
            "figures": {
                name: {"unit": figure.unit, "min": low, "median": middle, "max": high, "values": figure.values}
                for name, figure in self.figures.items()
                for low, middle, high in [figure.summary]
            },
        }
        path.write_text(json.dumps(content, indent=2) + "\n")
        print(f"written: {path}", file=sys.stderr)

    def compare(self, path: pathlib.Path) -> None:
        """Prints the ratio of each median to that of an earlier run."""
        old = json.loads(path.read_text())["figures"]
        print(f"\nnew / old, medians; old is {path}")
        width = max((len(name) for name in self.figures), default=0)
        for name, figure in self.figures.items():
            if name not in old:
                print(f"{name:{width}}  not in the old run")
                continue
            before, now = old[name]["median"], figure.summary[1]
            ratio = f"{now / before:.3f}" if before else "-"
            print(f"{name:{width}}  {ratio:>8}  ({shown(now)} / {shown(before)} {figure.unit})")
