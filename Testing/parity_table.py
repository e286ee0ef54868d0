"""Prints the parity table in Markdown: `PYTHONPATH=MedSegAttention python Testing/parity_table.py`."""

import sys

from official_fixtures import fixture_names
from parity import Comparison, compare


def row(comparison: Comparison) -> str:
    cells = [comparison.fixture, comparison.array, f"{comparison.difference:.1e}", f"{comparison.allowed:.1e}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    sys.stdout.write("| fixture | array | largest difference | allowed |\n| --- | --- | --- | --- |\n")
    for name in fixture_names():
        for comparison in compare(name):
            sys.stdout.write(row(comparison) + "\n")


if __name__ == "__main__":
    main()
