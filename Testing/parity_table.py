"""Prints the parity table in Markdown: `PYTHONPATH=MedSegAttention python Testing/parity_table.py`."""

import sys

from official_fixtures import fixture_names
from parity import Comparison, compare, without_counterpart


def row(comparison: Comparison) -> str:
    cells = [comparison.fixture, comparison.array, f"{comparison.difference:.1e}", f"{comparison.allowed:.1e}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    sys.stdout.write("| fixture | array | largest difference | allowed |\n| --- | --- | --- | --- |\n")
    for name in fixture_names():
        comparisons = compare(name)
        for comparison in comparisons:
            sys.stdout.write(row(comparison) + "\n")
        for array in sorted(without_counterpart(name, comparisons)):
            sys.stdout.write(f"| {name} | {array} | not compared | |\n")


if __name__ == "__main__":
    main()
