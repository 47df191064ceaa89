"""Pools as pools really are: related sources with one label in eight wrong, irrelevant text that carries a label by
chance, repeats, and copies of test documents.

    python benchmarks/pools.py --data DIR --out OUT

reads the public sets that benchmarks/README.md lists from DIR and writes, for each task, ``OUT/<task>/target``,
``test`` and one Parquet file per source. Everything is drawn by hashes of the ids, so the files are the same
everywhere. compositions.py and races.py make theirs by it.
"""

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

WRONG = 1 / 8  # share of the related sources' labels that are replaced by another of the task's
REPEATED = 0.03  # share of a related source that occurs a second time
LEAKED = 200  # test documents copied, with their labels, into the first source


@dataclass(frozen=True)
class Task:
    target: str
    sources: dict[str, dict[str, str]]  # file → label map; what it does not name is kept if it is the task's
    bulk: tuple[str, ...]  # files whose text has nothing to do with the task
    most: int = 6000  # documents of each related source
    bulk_each: int = 8000
    labels: tuple[str, ...] = ()  # of the target's those that the task has; none: all


CLINC = {  # intents of clinc150 and what hwu64 calls the same
    "alarm": "alarm_set", "calculator": "qa_maths", "calendar": "calendar_query", "calendar_update": "calendar_set",
    "date": "datetime_query", "definition": "qa_definition", "exchange_rate": "qa_currency", "no": "general_negate",
    "meeting_schedule": "calendar_query", "play_music": "play_music", "recipe": "cooking_recipe",
    "reminder": "calendar_query", "reminder_update": "calendar_set", "repeat": "general_repeat",
    "restaurant_suggestion": "recommendation_locations", "schedule_meeting": "calendar_set",
    "shopping_list": "lists_query", "shopping_list_update": "lists_createoradd", "tell_joke": "general_joke",
    "time": "datetime_query", "timezone": "datetime_convert", "todo_list": "lists_query",
    "todo_list_update": "lists_createoradd", "traffic": "transport_traffic", "uber": "transport_taxi",
    "weather": "weather_query", "what_song": "music_query", "yes": "general_affirm",
}  # fmt: skip

TASKS = {
    "airline": Task(
        "sentiment/airline_tweets",
        {
            "sentiment/sst5": {"very positive": "positive", "very negative": "negative"},
            "sentiment/google_play_reviews": {},
            "sentiment/meld_sentiment": {},
            "sentiment/semeval2017_tweets": {},
        },
        ("bulk/reddit_titles", "bulk/sgd_utterances", "bulk/wiki_sentences"),
        most=3000,
    ),
    "scicite": Task(
        "scientific/scicite",
        {
            "scientific/pubmedqa_sections": {
                "RESULTS": "result", "METHODS": "method", "METHOD": "method", "MATERIALS AND METHODS": "method",
                "PATIENTS AND METHODS": "method", "DESIGN": "method", "BACKGROUND": "background",
                "INTRODUCTION": "background",
            },
            "scientific/nicta_piboso": {
                "outcome": "result", "study design": "method", "intervention": "method", "background": "background"
            },
        },
        ("bulk/paper_titles", "bulk/biomedical_sentences", "bulk/nltk_corpora"),
    ),
    "agnews": Task(
        "topic/ag_news",
        {
            "topic/search_snippets": {
                "business": "Business", "computers": "Sci/Tech", "engineering": "Sci/Tech", "sports": "Sports",
                "politics-society": "World",
            },
            "topic/reuters_r8": {
                "earn": "Business", "acq": "Business", "money-fx": "Business", "interest": "Business",
                "trade": "Business", "crude": "Business", "ship": "World", "grain": "World",
            },
        },
        ("bulk/reddit_titles", "bulk/search_queries", "bulk/sgd_utterances"),
    ),
    "kitchen": Task(
        "sentiment/amazon_kitchen_housewares",
        {
            "sentiment/mr": {}, "sentiment/pros_cons": {}, "sentiment/uci_amazon_sentences": {},
            "sentiment/amazon_books": {},
        },
        ("bulk/reddit_titles", "bulk/english_novels", "bulk/medquad_answers"),
        most=3000,
    ),
    "offensive": Task(
        "sentiment/tweeteval_offensive",
        {
            "detection/davidson_hate": {
                "offensive language": "offensive", "hate speech": "offensive", "neither": "not-offensive",
            },
            "sentiment/tweeteval_hate": {"hate": "offensive", "not-hate": "not-offensive"},
        },
        ("bulk/reddit_titles", "bulk/sgd_utterances", "bulk/wiki_sentences"),
    ),
    "intents": Task(
        "intent/hwu64",
        {"intent/clinc150": CLINC},
        ("bulk/reddit_titles", "bulk/search_queries", "bulk/wiki_sentences"),
        bulk_each=4000,
        labels=tuple(sorted(set(CLINC.values()))),
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    for name, task in TASKS.items():
        prepare(name, task, arguments.data, arguments.out / name)


def prepare(name: str, task: Task, data: Path, out: Path, *, clean: bool = False, held_out: float = 0) -> None:
    """Write the files of one task; ``clean``: related sources only, with their own labels, no repeats and no leaks.

    ``held_out``: this share of the training documents stands in for the test set, which is not read then.
    """
    out.mkdir(parents=True, exist_ok=True)
    whole = read(data, task.target)
    if task.labels:
        whole = whole.filter(pl.col("label").is_in(task.labels))
    if whole["split"].null_count() == len(whole):  # no official split: half and half, by hash
        half = pl.when(drawn(whole, "split") < 0.5).then(pl.lit("test")).otherwise(pl.lit("train"))
        whole = whole.with_columns(half.alias("split"))
    if held_out:
        whole = whole.filter(pl.col("split") == "train")
        part = pl.when(drawn(whole, "held out") < held_out).then(pl.lit("test")).otherwise(pl.lit("train"))
        whole = whole.with_columns(part.alias("split"))
    target, test = whole.filter(pl.col("split") == "train"), whole.filter(pl.col("split") == "test")
    target.write_parquet(out / "target.parquet")
    test.write_parquet(out / "test.parquet")
    labels = sorted(target["label"].unique())
    leaks = test.with_columns(drawn(test, "leak").alias("lot")).sort("lot").head(LEAKED).drop("lot")
    for number, (file, mapping) in enumerate(task.sources.items()):
        source = related(read(data, file), mapping, labels, task.most, clean=clean)
        if number == 0 and not clean:
            copies = leaks.with_columns(pl.format("leak-{}", "id").alias("id"))
            source = pl.concat([source, copies.select(source.columns)])
        source.write_parquet(out / f"{Path(file).name}.parquet")
    for file in () if clean else task.bulk:
        bulk = read(data, file)
        bulk = bulk.with_columns(drawn(bulk, "bulk").alias("lot")).sort("lot").head(task.bulk_each)
        bulk = bulk.with_columns(chance(bulk, labels).alias("label")).drop("lot")
        bulk.write_parquet(out / f"{Path(file).name}.parquet")
    print(name, {path.stem: len(pl.read_parquet(path)) for path in sorted(out.glob("*.parquet"))})


def related(
    source: pl.DataFrame, mapping: dict[str, str], labels: list[str], most: int, *, clean: bool = False
) -> pl.DataFrame:
    """A source with its labels mapped onto the task's; some of them wrong and some documents twice, unless clean."""
    source = source.filter((pl.col("split") != "test") | pl.col("split").is_null())
    source = source.with_columns(pl.col("label").replace(mapping)).filter(pl.col("label").is_in(labels))
    source = source.with_columns(drawn(source, "sample").alias("lot")).sort("lot").head(most).drop("lot")
    if clean:
        return source
    other = pl.Series([others(labels, own, name) for own, name in source.select("label", "id").iter_rows()])
    wrong = drawn(source, "wrong") < WRONG
    source = source.with_columns(pl.when(wrong).then(other).otherwise("label").alias("label"))
    repeats = source.filter(drawn(source, "repeat") < REPEATED).with_columns(pl.format("again-{}", "id").alias("id"))
    return pl.concat([source, repeats])


def others(labels: list[str], own: str, name: str) -> str:
    rest = [label for label in labels if label != own]
    return rest[int(lot(name, "other") * len(rest))]


def chance(frame: pl.DataFrame, labels: list[str]) -> pl.Series:
    return pl.Series([labels[int(lot(name, "chance") * len(labels))] for name in frame["id"]])


def drawn(frame: pl.DataFrame, salt: str) -> pl.Series:
    return pl.Series([lot(name, salt) for name in frame["id"]], dtype=pl.Float64)


def lot(name: str, salt: str) -> float:
    """A number from 0 to 1 that depends on the id and the salt alone."""
    digest = hashlib.blake2b(f"{salt}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def read(data: Path, file: str) -> pl.DataFrame:
    return pl.read_parquet(data / f"{file}.parquet", columns=["id", "text", "label", "split", "source"])


if __name__ == "__main__":
    main()
