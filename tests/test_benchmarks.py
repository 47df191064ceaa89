"""The tables of benchmarks/README.md and of docs/ are those of the records."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_tables_are_made_from_the_records(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import tables

    assert {page.name for page in tables.PAGES} >= {"README.md", "support-desk.md"}
    for page in tables.PAGES:
        text = page.read_text("utf8")
        assert tables.filled(text) == text, page.name
    sys.modules.pop("tables")
