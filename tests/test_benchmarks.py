"""The tables of benchmarks/README.md are those of the records."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_tables_are_made_from_the_records(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import tables

    text = (ROOT / "benchmarks" / "README.md").read_text("utf8")
    assert tables.filled(text) == text
    sys.modules.pop("tables")
