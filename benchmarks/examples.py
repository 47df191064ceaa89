"""Worked examples: the commands of docs/*.md with what they print, and the figures of those pages.

    python benchmarks/examples.py --data DIR --work DIR [--only NAME] [--out FILE]

``support-desk``: intents of a bank's support desk, with other assistants' utterances as the pool.
``sentiment-stream``: tweets to airlines, dealt out to days, and an alarm when the share of the negative ones shifts.
``recommender``: pairs of titles and a click, made from titles of reddit posts. The sets are read from ``--data``
(benchmarks/README.md says where each comes from); workspaces and the files that are made lie in ``--work``, where what
is there already is used again. Each example is a part of the record, ``benchmarks/records/examples.json``, with its
commit and versions.
"""

import argparse
import json
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["COLUMNS"] = "118"  # what the commands print is as wide as a page

import examples_clicks
import examples_stream
from circumstances import circumstances
from tables import bare
from typer.testing import CliRunner

from curator import Workspace
from curator.cli import app

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
RECIPES = HERE.parent / "recipes"
PACKAGES = ("duckdb", "faiss-cpu", "polars", "scikit-learn", "torch", "transformers")


class Shell:
    """Runs the commands of a page in a folder, and keeps what they print for it."""

    def __init__(self, work: Path, data: Path) -> None:
        self.work, self.data = work, data
        self.shown: dict[str, Row] = {}

    def run(self, name: str, command: str, lines: int = 40) -> str:
        """Run ``curator …``; the page shows at most so many lines. Raises RuntimeError where it fails."""
        os.chdir(self.work)
        words = [word.replace("recipes/", f"{RECIPES}/", 1) for word in shlex.split(command)[1:]]
        done = CliRunner().invoke(app, ["-q", *words], env={"CURATOR_DATA": str(self.data)})
        if done.exit_code:
            raise RuntimeError(f"{command}: {done.output}{done.exception!r}")
        printed = done.stdout.rstrip().splitlines()
        cut = [f"… {len(printed) - lines} more lines"] if len(printed) > lines else []
        self.shown[name] = {"command": command, "output": "\n".join([*(p.rstrip() for p in printed[:lines]), *cut])}
        print(f"$ {command}", *self.shown[name]["output"].splitlines(), sep="\n", flush=True)
        return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the worked examples of docs/ and write down what they print.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--work", type=Path, metavar="DIR", required=True)
    parser.add_argument("--only", choices=EXAMPLES, action="append")
    parser.add_argument("--out", type=Path, default=HERE / "records" / "examples.json")
    arguments = parser.parse_args()
    data, work, out = (path.resolve() for path in (arguments.data, arguments.work, arguments.out))
    work.mkdir(parents=True, exist_ok=True)
    for name in arguments.only or EXAMPLES:
        found = circumstances(f"python benchmarks/examples.py --data DIR --work DIR --only {name}", PACKAGES)
        started = time.perf_counter()
        found |= EXAMPLES[name](data, work)
        found["seconds"] = round(time.perf_counter() - started)
        record = json.loads(out.read_text("utf8")) if out.exists() else {}
        out.write_text(json.dumps(record | {name: found}, ensure_ascii=False, separators=(",", ":")) + "\n", "utf8")


def support_desk(data: Path, work: Path) -> Row:
    shell = Shell(work, data)
    shell.run("mix", "curator -w desk mix recipes/support-desk.toml")
    shell.run("search", "curator -w desk search assistant 'somebody else paid with my card' -k 4")
    shell.run("labels", f'curator -w desk sql "{LABELS}"')
    shell.run("ledger", f'curator -w desk sql "{LEDGER}"')
    kept, dropped = chosen(Workspace(work / "desk"))
    shell.run("kept", f"curator -w desk explain support-desk {kept}")
    shell.run("dropped", f"curator -w desk explain support-desk {dropped}")
    shell.run("coverage", f'curator -w desk sql "{COVERAGE}"')
    ws = Workspace(work / "desk")
    race = ws.race(RECIPES / "support-desk.toml", data=data)
    return {"shown": shell.shown, "race": bare(race.record)}


def chosen(ws: Workspace) -> tuple[str, str]:
    """A document of the mix, and one that pairing dropped though it has the label: each the best of its kind."""
    rows = ws.sql("""
        SELECT max_by(corpus || ':' || id, (score, id)) FILTER (keep AND deciding),
               max_by(corpus || ':' || id, (score, id)) FILTER (NOT keep AND stage = 'pairing')
        FROM ledger('support-desk')
    """)
    return rows.row(0)


LEDGER = """SELECT stage, rule, count(*) AS n FROM ledger('support-desk') WHERE deciding GROUP BY ALL
ORDER BY n DESC LIMIT 7"""
SAID = """(SELECT * FROM support_desk_target
WHERE split = 'train' AND label IN (SELECT label FROM mix('support-desk')))"""
LABELS = f"""SELECT ours, string_agg(theirs || ' ' || n, ', ' ORDER BY n DESC, theirs) AS theirs FROM (
  SELECT t.label AS ours, a.label AS theirs, count(*) AS n
  FROM {SAID} AS t
  JOIN (SELECT * FROM assistant WHERE split = 'train') AS a
  EXACT NEAREST 5 BY SIMILARITY array_inner_product(t.embedding, a.embedding)
  GROUP BY t.label, a.label
  QUALIFY row_number() OVER (PARTITION BY t.label ORDER BY count(*) DESC, a.label) <= 2
) GROUP BY ours ORDER BY ours"""
CHOSEN = """(SELECT a.id, a.embedding
FROM (SELECT 'assistant' AS corpus, id, embedding FROM assistant
UNION ALL SELECT 'speaker', id, embedding FROM speaker) AS a
JOIN mix('support-desk') AS m USING (corpus, id))"""
COVERAGE = f"""SELECT d.label, count(*) AS said, count(*) FILTER (hole) AS holes, round(avg(similarity), 2) AS nearest
FROM coverage({SAID}, {CHOSEN}, min_score := 0.6) AS c
JOIN support_desk_target AS d USING (id) GROUP BY ALL ORDER BY holes / said DESC LIMIT 5"""


def sentiment_stream(data: Path, work: Path) -> Row:
    shell = Shell(work, data)
    return {**examples_stream.measured(shell.run, data, work), "shown": shell.shown}


def recommender(data: Path, work: Path) -> Row:
    shell = Shell(work, work / "clicks")
    return {**examples_clicks.measured(shell.run, data, work), "shown": shell.shown}


EXAMPLES: dict[str, Callable[[Path, Path], Row]] = {
    "support-desk": support_desk,
    "sentiment-stream": sentiment_stream,
    "recommender": recommender,
}

if __name__ == "__main__":
    main()
