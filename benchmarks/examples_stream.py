"""The part of examples.py that watches a stream: how it is made, and how soon and how rightly the alarm comes.

The stream is made from real tweets: each is dealt to one of 84 days at random, by seed. Until the shift, negative
tweets about waiting (THEME) are thinned to a share, and after it they all stay, so that the share of negative
tweets rises by one theme. The rule is recipes/shift_alarm.sql; ``alarm`` is the same in numpy, for thousands of streams
(tests/test_examples.py holds one against the other).
"""

import datetime
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from curator import Workspace

Row = dict[str, Any]
Counts = npt.NDArray[np.float64]

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
FIRST = datetime.date(2026, 1, 5)
DAYS, LEARN, SHIFT, RUNS = 84, 28, 56, 1000
WATCH = DAYS - LEARN
SLACK, FALSE_ALARMS = 0.5, 0.05
THEME = "cancel|delay|hour| late|hold|wait"
CALM = {"small": 0.5, "medium": 0.25, "large": 0.0}
STREAMS = 300
SET = f"-s label=negative -s learn={LEARN} -s watch={WATCH} -s slack={SLACK} -s false_alarms={FALSE_ALARMS}"
LABEL = (
    "SELECT t.id, t.day, t.text, t.truth, c.label FROM tweets AS t\n"
    "JOIN classified(tweets, 'stream/models/sentiment-stream') AS c USING (id)"
)


def measured(run: Callable[..., str], data: Path, work: Path) -> Row:
    """Every command of the page, and the figures over many streams."""
    tweets = told(data)
    dated(tweets, CALM["medium"], shifted=True, seed=0).write_parquet(work / "tweets.parquet")
    run("mix", "curator -w stream mix recipes/sentiment-stream.toml")
    ws = Workspace(work / "stream")
    if not (work / "stream" / "models" / "sentiment-stream").is_dir():
        ws.train(RECIPES / "sentiment-stream.toml", data=data)
    run("add", "curator -w stream add tweets tweets.parquet")
    if not (work / "labelled.parquet").exists():
        run("label", f'curator -w stream sql "{LABEL}" -o labelled.parquet')
    run("added", "curator -w stream add labelled labelled.parquet")
    run("alarm", f"curator -w stream sql recipes/shift_alarm.sql {SET}", 9)
    first = (
        Workspace(work / "stream").sql((RECIPES / "shift_alarm.sql").read_text("utf8"), **settings()).row(0, named=True)
    )
    run(
        "texts",
        f"curator -w stream sql recipes/shift_texts.sql -s label=negative -s since={first['quiet_until']} "
        f"-s until={first['day']}",
    )
    guesses = predicted(ws, tweets, work)
    return {
        "first": {name: str(value) for name, value in first.items()},
        "model": quality(tweets["truth"], guesses),
        "tweets": len(tweets),
        "streams": [row for size in CALM for row in simulated(tweets, guesses, size)],
        "seeds": STREAMS,
    }


def settings() -> Row:
    return {"label": "negative", "learn": LEARN, "watch": WATCH, "slack": SLACK, "false_alarms": FALSE_ALARMS}


def told(data: Path) -> pl.DataFrame:
    """``id, text, truth, is_theme`` of the tweets that the recipe neither teaches nor tests with."""
    return duckdb.sql(f"""
        SELECT id, text, label AS truth, label = 'negative' AND regexp_matches(lower(text), '{THEME}') AS is_theme
        FROM read_parquet('{data}/sentiment/airline_tweets.parquet')
        WHERE md5_number_lower(id) % 10 BETWEEN 2 AND 6 ORDER BY id
    """).pl()


def dealt(themes: pl.Series, calm: float, *, shifted: bool, seed: int) -> tuple[npt.NDArray[np.int64], Any]:
    """(n,) the day of each tweet from 0, and whether it stays."""
    draw = np.random.default_rng(seed)
    day, lot = draw.integers(0, DAYS, len(themes)), draw.random(len(themes))
    return day, ~themes.to_numpy() | (lot < calm) | (shifted & (day >= SHIFT))


def dated(tweets: pl.DataFrame, calm: float, *, shifted: bool, seed: int) -> pl.DataFrame:
    """``id, day, text, truth`` of one stream."""
    day, stays = dealt(tweets["is_theme"], calm, shifted=shifted, seed=seed)
    dates = pl.Series("day", [FIRST + datetime.timedelta(int(number)) for number in day])
    return tweets.with_columns(dates).filter(pl.Series(stays)).select("id", "day", "text", "truth").sort("day", "id")


def predicted(ws: Workspace, tweets: pl.DataFrame, work: Path) -> pl.Series:
    """The model's label of every tweet, also of those that the page's stream leaves out."""
    known = pl.read_parquet(work / "labelled.parquet").select("id", "label")
    rest = tweets.join(known, on="id", how="anti").select("id", "text")
    others = ws.predict("sentiment-stream", rest).select("id", "label")
    return tweets.join(pl.concat([known, others]), on="id", how="left", maintain_order="left")["label"]


def quality(truth: pl.Series, guesses: pl.Series) -> Row:
    """What the model is worth on the stream: of negative tweets and of the others the share it calls negative."""
    from sklearn.metrics import f1_score

    negative, said = (truth == "negative").to_numpy(), (guesses == "negative").to_numpy()
    return {
        "macro_f1": float(f1_score(truth, guesses, average="macro")),
        "called_negative_of_negative": float(said[negative].mean()),
        "called_negative_of_others": float(said[~negative].mean()),
    }


def simulated(tweets: pl.DataFrame, guesses: pl.Series, size: str) -> list[Row]:
    """A row for true and one for predicted labels: delays and false alarms over streams of one size of shift."""
    drawn = lots(LEARN, WATCH)
    rows = []
    for labels, negative in (("true", tweets["truth"] == "negative"), ("predicted", guesses == "negative")):
        found: dict[str, list[int | None]] = {name: [] for name in ("cusum", "daily", "cusum_quiet", "daily_quiet")}
        steps = []
        for seed in range(STREAMS):
            for shifted in (True, False):
                day, stays = dealt(tweets["is_theme"], CALM[size], shifted=shifted, seed=seed)
                n = np.bincount(day[stays], minlength=DAYS).astype(float)
                hits = np.bincount(day[stays & negative.to_numpy()], minlength=DAYS).astype(float)
                for rule, at in alarm(n, hits, drawn).items():
                    found[rule if shifted else f"{rule}_quiet"].append(at)
                if shifted:
                    steps.append(hits[SHIFT:].sum() / n[SHIFT:].sum() - hits[:SHIFT].sum() / n[:SHIFT].sum())
        rows += [{"size": size, "labels": labels, "points": float(np.mean(steps)), "rule": rule}
                 | summary(found[rule], found[f"{rule}_quiet"]) for rule in ("cusum", "daily")]  # fmt: skip
        print(rows[-2:], flush=True)
    return rows


def summary(shifted: list[int | None], quiet: list[int | None]) -> Row:
    """Days from the shift to the alarm, of streams without an alarm before it; alarms of those without a shift."""
    clean = [at for at in shifted if at is None or at >= SHIFT]
    delays = [at - SHIFT + 1 for at in clean if at is not None]
    late = sorted([*delays, *[DAYS] * (len(clean) - len(delays))])  # no alarm in four weeks counts as later than any
    return {
        "false_alarms": sum(at is not None for at in quiet),
        "streams": len(quiet),
        "clean": len(clean),
        "found": len(delays),
        "delays": [late[int(share * (len(late) - 1))] for share in (0.1, 0.5, 0.9)],
    }


def lots(learn: int, watch: int) -> tuple[npt.NDArray[np.int64], Counts]:
    """(runs, learn + watch) which of the days learned from gives a place its size, and a normal number, as in SQL."""
    names = [f"{run}:{place}" for run in range(RUNS) for place in range(learn + watch)]
    sums = [hashlib.md5(name.encode()).digest() for name in names]
    days = [int.from_bytes(hashlib.md5(f"{name}:day".encode()).digest()[8:], "little") % learn for name in names]
    one, other = (
        np.array([(int.from_bytes(sum_[half], "little") + 0.5) / 2**64 for sum_ in sums])
        for half in (slice(8, 16), slice(0, 8))
    )
    normal = np.sqrt(-2 * np.log(one)) * np.cos(2 * np.pi * other)
    return np.array(days).reshape(RUNS, -1), normal.reshape(RUNS, -1)


def alarm(n: Counts, hits: Counts, drawn: tuple[npt.NDArray[np.int64], Counts]) -> dict[str, int | None]:
    """The first day from 0 of an alarm by CUSUM, as the SQL has it, and by the largest daily z-score alone."""
    share = hits[:LEARN].sum() / n[:LEARN].sum()
    errors = np.sqrt(n * share * (1 - share))
    spread = max(1.0, ((hits - n * share) / errors)[:LEARN].std(ddof=1))
    days, normal = drawn
    quiet = deviations(n[days], n[days] * share + spread * normal * errors[days])
    score = deviations(n[None], hits[None])[0]
    limits = [np.quantile(values.max(axis=1), 1 - FALSE_ALARMS) for values in (cusum(quiet), quiet)]
    over = {"cusum": cusum(score[None])[0] > limits[0], "daily": score > limits[1]}
    return {rule: LEARN + int(found.argmax()) if found.any() else None for rule, found in over.items()}


def deviations(n: Counts, hits: Counts) -> Counts:
    """(runs, watch) z-scores of the days after those learned from, against the share of these; rows are runs."""
    share = (hits[:, :LEARN].sum(axis=1) / n[:, :LEARN].sum(axis=1))[:, None]
    found: Counts = (hits[:, LEARN:] - n[:, LEARN:] * share) / np.sqrt(n[:, LEARN:] * share * (1 - share))
    return found


def cusum(scores: Counts) -> Counts:
    """(runs, watch) Page's sums S = max(0, S + z − slack), day after day."""
    sums, at = np.empty_like(scores), np.zeros(len(scores))
    for day in range(scores.shape[1]):
        at = np.maximum(0, at + scores[:, day] - SLACK)
        sums[:, day] = at
    return sums
