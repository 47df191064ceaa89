"""The worked examples: their recipes on tiny stand-ins, the SQL of their pages, and the alarm against plain Python."""

import datetime
import hashlib
import math
import random
import re
import statistics
import sys
import tomllib
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from curator import Recipe, Workspace
from curator.cli import app
from curator.recipe import StageUse

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "recipes"
ALARM = (RECIPES / "shift_alarm.sql").read_text("utf8")
EXAMPLES = ("support-desk", "sentiment-stream", "recommender")
FIRST = datetime.date(2026, 1, 5)
PARAMETERS = {"label": "negative", "learn": 6, "watch": 8, "slack": 0.5, "false_alarms": 0.05}
WORDS = [f"{one}{other}" for one in ("ba", "do", "ki", "mu", "ne", "pa", "ru") for other in "bcdfghklmnprstvw"]

pytestmark = pytest.mark.filterwarnings("ignore::curator.CuratorWarning")


def like(number: int) -> int:
    """The number of the document whose text this one has: some are copies of the one three before."""
    return number - 3 if number % 12 == 11 else number


def stand_in(recipe: dict, path: str) -> pl.DataFrame:
    """Documents with the labels that a recipe's predicates, maps and targets name, some without any."""
    used = [*recipe["pool"].values(), *(part for part in recipe["task"].values() if isinstance(part, dict))]
    named = {label for source in used for both in source.get("labels", {}).items() for label in both}
    named |= {word for source in used for word in re.findall(r"'(\w+_\w+)'", source.get("where", ""))}
    labels = sorted(named or {"negative", "neutral", "positive"})
    if path.endswith(("target.parquet", "test.parquet", "retrieval.parquet", "popular.parquet", "carousel.parquet")):
        labels = ["click", "none"]
    rows = [
        {
            "id": f"{path}/{label}/{number}",
            "text": " ".join([*label.split("_"), *random.Random(f"{path} {label} {like(number)}").choices(WORDS, k=8)]),
            "label": label,
            "split": "test" if number % 3 == 0 else "train",
            "community": "ab"[number % 2],
            "similarity": number % 10 / 10,
        }
        for label in labels
        for number in range(90)
    ]
    frame = pl.DataFrame(rows)
    return frame.drop("community", "similarity") if "/" in path else frame  # of pairs alone


def stand_ins(name: str, folder: Path) -> Recipe:
    """A recipe, and stand-ins for its files."""
    recipe = tomllib.loads((RECIPES / f"{name}.toml").read_text("utf8"))
    sources = [
        *recipe["pool"].values(),
        *(recipe["task"][name] for name in ("target", "test") if name in recipe["task"]),
    ]
    for source in filter(None, sources):
        path = source if isinstance(source, str) else source["path"]
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        stand_in(recipe, path).write_parquet(folder / path)
    return Recipe.load(RECIPES / f"{name}.toml")


def made(name: str, folder: Path, toy) -> Workspace:
    """A workspace with the mix of a recipe, on stand-ins for its files."""
    ws = Workspace(folder / "work", encoder=toy)
    ws.mix(stand_ins(name, folder), data=folder)
    return ws


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_recipe_of_the_examples_makes_a_mix(name, tmp_path, toy):
    mix = made(name, tmp_path, toy).mix(name)
    summary = mix.summary()
    assert 0 < len(mix) < summary["pool"]
    assert mix.frame()["label"].n_unique() > 1


@pytest.mark.parametrize("spared", [False, True])
def test_hard_pairs_are_alike_whatever_the_answer(spared, tmp_path, toy):
    ws = made("recommender", tmp_path, toy)
    recipe = Recipe.load(RECIPES / "recommender.toml")
    hard = StageUse(use="hard_pairs.sql", min_similarity=0.5, spare_clicks=spared)
    mix = ws.mix(recipe.model_copy(update={"stage": [*recipe.stage[:-1], hard], "name": "hard"}), data=tmp_path)
    rules = mix.ledger().filter(pl.col("stage") == "hard_pairs")
    clicks = rules["id"].str.contains("/click/")
    assert rules["keep"].to_list() == ((rules["score"] >= 0.5) | (clicks & spared)).to_list()
    assert not rules["keep"].all()


def labelled(seed: int, days: int, raised: int) -> pl.DataFrame:
    """Some documents a day, of which some are negative: more of them from the day ``raised`` on."""
    draw = random.Random(seed)
    rows = [
        {
            "id": f"{day}-{number}",
            "day": FIRST + datetime.timedelta(days=day),
            "label": "negative" if draw.random() < (0.75 if day >= raised else 0.4) else "positive",
            "text": f"the train of {draw.choice('abcdef')} was {draw.choice('ghijkl')}",
        }
        for day in range(days)
        for number in range(draw.randint(20, 40))
    ]
    return pl.DataFrame(rows)


def alarms(frame: pl.DataFrame, learn: int, watch: int, slack: float, rate: float) -> list[tuple]:
    """What shift_alarm.sql says, step by step: the days, their z-scores and sums, and the limit of 1,000 quiet runs."""
    days = sorted(frame["day"].unique())
    n = [len(frame.filter(pl.col("day") == day)) for day in days]
    hits = [len(frame.filter(pl.col("day") == day, pl.col("label") == "negative")) for day in days]

    def sums(ns, hs):
        share, at, found = sum(hs[:learn]) / sum(ns[:learn]), 0.0, []
        for count, hit in zip(ns[learn:], hs[learn:], strict=True):
            z = (hit - count * share) / math.sqrt(count * share * (1 - share))
            at = max(0.0, at + z - slack)
            found.append((z, at))
        return share, found

    usual = sum(hits[:learn]) / sum(n[:learn])
    learned = [
        (h - m * usual) / math.sqrt(m * usual * (1 - usual)) for m, h in zip(n[:learn], hits[:learn], strict=True)
    ]
    sd, largest = max(1.0, statistics.stdev(learned)), []
    for run in range(1000):
        lots = [hashlib.md5(f"{run}:{place}".encode()).digest() for place in range(learn + watch)]
        pairs = [[(int.from_bytes(lot[i : i + 8], "little") + 0.5) / 2**64 for i in (8, 0)] for lot in lots]
        days_ = [hashlib.md5(f"{run}:{place}:day".encode()).digest()[8:] for place in range(learn + watch)]
        sizes = [n[int.from_bytes(lot, "little") % learn] for lot in days_]
        normal = [math.sqrt(-2 * math.log(one)) * math.cos(2 * math.pi * other) for one, other in pairs]
        hit = [m * usual + sd * x * math.sqrt(m * usual * (1 - usual)) for m, x in zip(sizes, normal, strict=True)]
        largest.append(max(at for _, at in sums(sizes, hit)[1]))
    place = (1 - rate) * 999
    ordered = sorted(largest)
    limit = ordered[int(place)] + (place - int(place)) * (ordered[math.ceil(place)] - ordered[int(place)])
    share, found = sums(n, hits)
    rows, quiet = [], None
    for day, count, hit, (z, at) in zip(days[learn:], n[learn:], hits[learn:], found, strict=True):
        quiet = day if at == 0 else quiet
        if at > limit:
            rows.append((day, count, hit / count, share, z, at, limit, quiet))
    return rows


@pytest.mark.parametrize(
    ("seed", "raised", "slack"), [(0, 10, 0.5), (1, 6, 0.0), (2, 99, 0.5), (3, 12, 1.0), (7, 10, 0.5)]
)
def test_the_alarm_is_that_of_plain_python(tmp_path, toy, seed, raised, slack):
    ws = Workspace(tmp_path, encoder=toy)
    frame = labelled(seed, 18, raised)
    ws.add("labelled", frame)
    found = ws.sql(ALARM, **{**PARAMETERS, "learn": 7, "watch": 11, "slack": slack}).rows()
    wanted = alarms(frame, 7, 11, slack, 0.05)
    assert len(found) == len(wanted)
    assert (len(found) > 0) == (raised < 18)
    for row, other in zip(found, wanted, strict=True):
        assert (*row[:2], row[7]) == (*other[:2], other[7])
        assert row[2:7] == pytest.approx(other[2:7])


def test_the_alarm_of_the_benchmark_is_that_of_the_sql(tmp_path, toy, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import examples_stream as stream

    ws, drawn = Workspace(tmp_path, encoder=toy), stream.lots(stream.LEARN, stream.WATCH)
    for seed, raised in ((5, 40), (6, 99)):
        frame = labelled(seed, stream.DAYS, raised)
        ws.add("labelled", frame)
        days = frame.group_by("day").agg(pl.len(), (pl.col("label") == "negative").sum().alias("hits")).sort("day")
        counts = (days[name].to_numpy().astype(float) for name in ("len", "hits"))
        rows = ws.sql(ALARM, **stream.settings())
        first = (rows["day"][0] - FIRST).days if len(rows) else None
        assert stream.alarm(*counts, drawn)["cusum"] == first
        assert (first is None) == (raised == 99)
    sys.modules.pop("examples_stream")


def test_a_cron_job_can_tell_an_alarm(tmp_path, toy, monkeypatch):
    settings = [f"-s{name}={PARAMETERS[name]}" for name in ("label", "learn", "watch", "slack", "false_alarms")]
    for raised, alarmed in ((9, True), (99, False)):
        Workspace(tmp_path / "work", encoder=toy).add("labelled", labelled(0, 14, raised))
        command = ["-q", "-w", str(tmp_path / "work"), "sql", "--csv", str(RECIPES / "shift_alarm.sql"), *settings]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        assert (len(done.stdout.splitlines()) > 1) == alarmed


def test_texts_of_a_shift_are_those_whose_neighbours_are_new(tmp_path, toy):
    before = [{"day": FIRST, "text": f"the seat of row {n} was hard"} for n in range(30)]
    after = [
        {"day": FIRST + datetime.timedelta(days=9), "text": f"flight {n} cancelled again today"} for n in range(25)
    ]
    after += [{"day": FIRST + datetime.timedelta(days=9), "text": f"the seat of row {n} was hard"} for n in range(30)]
    rows = [{"id": f"{i:03}", "label": "negative", **row} for i, row in enumerate(before + after)]
    ws = Workspace(tmp_path, encoder=toy)
    ws.add("labelled", pl.DataFrame(rows))
    sql = (RECIPES / "shift_texts.sql").read_text("utf8")
    found = ws.sql(sql, label="negative", since=FIRST, until=FIRST + datetime.timedelta(days=9))
    assert len(found) == 6
    assert found["text"].str.contains("cancelled").all()
    assert found["expected"].unique().to_list() == [round(55 / 85, 2)]


def blocks() -> list:
    """The fenced SQL of the examples' pages, each with the page's name."""
    pages = [(name, (ROOT / "docs" / f"{name}.md").read_text("utf8")) for name in EXAMPLES]
    return [
        pytest.param(name, sql, id=f"{name}-{number}")
        for name, text in pages
        for number, sql in enumerate(re.findall(r"```sql\n(.*?)```", text, re.DOTALL))
    ]


@pytest.mark.parametrize(("name", "sql"), blocks())
def test_the_sql_of_a_page_runs(name, sql, tmp_path, toy):
    ws = made(name, tmp_path, toy)
    ws.add("labelled", labelled(0, 14, 9))
    titles = [f"{word} story number {n}" for n, word in enumerate(["tea", "ball", "star"] * 10)]
    frame = pl.DataFrame(
        {"id": ["nfl/71", *(f"i{n}" for n in range(29))], "text": titles, "community": ["a", "b", "c"] * 10}
    )
    ws.add("items", frame)
    given = {key: value for key, value in PARAMETERS.items() if f"${key}" in sql}
    assert ws.sql(sql, **given).width > 1
