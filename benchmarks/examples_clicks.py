"""The part of examples.py about a recommender: how its pairs are made, what a probe learns of them, and re-ranking.

The items are titles of reddit posts, of 24 communities. A visitor of one item is shown another, and clicks if both are
of the same community; one answer in ten is turned over. What a good retrieval shows, one of the 20 nearest items, is
the target (400 pairs a draw), the test and the pool's log ``retrieval``; ``popular`` shows items at random, mostly of
few communities, and of ``carousel``, whose items are clicked for their place, four answers in ten are turned over. The
probe sees the products of the two items' vectors, component by component.
"""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import stats
from sklearn.metrics import roc_auc_score

from curator import Recipe, Workspace, probe

Row = dict[str, Any]
Matrix = npt.NDArray[np.float64]

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
COMMUNITIES = (
    "Economics", "finance", "investing", "business", "science", "space", "Astronomy", "Physics", "programming", "linux",
    "opensource", "sysadmin", "nba", "nfl", "hockey", "soccer", "recipes", "Baking", "vegan", "Coffee", "movies",
    "television", "books", "history",
)  # fmt: skip
NO_QUOTAS, HARD, SPARED = "mix without quotas", "mix of hard pairs", "mix of hard pairs and every click"
VARIANTS = (NO_QUOTAS, HARD, SPARED)
EACH, NOISE, SEEDS = 100, 0.1, 5
PAIRS = """SELECT a.id AS item, b.id AS shown, a.community, a.text || ' | ' || b.text AS text,
       array_inner_product(a.embedding, b.embedding) AS similarity, a.community = b.community AS alike
FROM items AS a JOIN items AS b EXACT NEAREST 21 BY SIMILARITY array_inner_product(a.embedding, b.embedding)
WHERE a.id <> b.id"""
NEAR = """(SELECT b.* FROM (SELECT * FROM items WHERE id = '{item}') AS a
  JOIN (SELECT * FROM items WHERE id <> '{item}') AS b
  EXACT NEAREST 20 BY SIMILARITY array_inner_product(a.embedding, b.embedding))"""
RERANKED = {
    "nearest": "(SELECT id, row_number() OVER (ORDER BY array_inner_product(embedding, (SELECT embedding FROM items\n "
    "WHERE id = '{item}')) DESC, id) AS rank FROM items WHERE id <> '{item}')",
    "mmr": "mmr(\n  (SELECT * FROM items WHERE id = '{item}'),\n  {near},\n  5, trade_off := 0.5)",
    "dpp": "dpp((SELECT * FROM items WHERE id = '{item}'), {near}, 5, theta := 2.0)",
}


def measured(run: Callable[..., str], data: Path, work: Path) -> Row:
    """Every command of the page, and the figures of the probe and of re-ranking."""
    ws = Workspace(work / "shop")
    ws.add("items", items(data))
    pairs = ws.sql(PAIRS)
    (work / "clicks").mkdir(exist_ok=True)
    for name, frame in logs(ws, pairs).items():
        frame.write_parquet(work / "clicks" / f"{name}.parquet")
    run("mix", "curator -w shop mix recipes/recommender.toml")
    run("ledger", f'curator -w shop sql "{LEDGER}"')
    run("affected", "curator -w shop affected recommender --by source", 16)
    asked = ws.sql("SELECT id FROM items ORDER BY md5('asked ' || id) LIMIT 20")["id"].to_list()
    run("reranked", f'curator -w shop sql "{shown(asked[0])}"')
    return {"arms": raced(ws, work), "reranked": reranked(ws, asked), "seeds": SEEDS, "pairs": len(pairs)}


LEDGER = """SELECT stage, rule, label, count(*) AS n FROM ledger('recommender')
WHERE deciding AND NOT keep AND stage <> 'ratio' GROUP BY ALL ORDER BY n DESC LIMIT 8"""


def shown(item: str) -> str:
    ranked = RERANKED["mmr"].format(item=item, near=NEAR.format(item=item))
    return f"""SELECT r.rank, i.community, round(r.relevance, 2) AS relevance, left(i.text, 80) AS text
FROM {ranked} AS r
JOIN items AS i USING (id) WHERE r.rank IS NOT NULL ORDER BY r.rank"""


def items(data: Path) -> pl.DataFrame:
    """``id, text, community``: the first titles of each community that are neither very short nor very long."""
    titles = pl.read_parquet(data / "bulk" / "reddit_titles.parquet").select(
        pl.col("id").str.split("/").list.slice(1).list.join("/").alias("id"),
        "text",
        pl.col("id").str.split("/").list.get(1).alias("community"),
    )
    fit = titles.filter(pl.col("community").is_in(COMMUNITIES), pl.col("text").str.len_chars().is_between(25, 140))
    return fit.unique("text", keep="first", maintain_order=True).group_by("community", maintain_order=True).head(EACH)


def logs(ws: Workspace, near: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The files of the recipe. The items that are visited part target, test and pool."""
    draw = np.random.default_rng(0)
    part = {item: draw.integers(10) for item in near["item"].unique().sort()}
    near = near.with_columns(pl.col("item").replace_strict(part, return_dtype=pl.Int64).alias("part"))
    near = near.sort("item", "shown").sample(fraction=1.0, shuffle=True, seed=0)
    ours = near.filter(pl.col("part") > 3)
    similar = ours.head(1500)
    again = similar.head(150).with_columns(pl.col("text").str.to_uppercase() + "!")
    return {
        "target": answered(near.filter(pl.col("part") == 0).head(1200), NOISE, draw, "target"),
        "test": answered(near.filter(pl.col("part").is_between(1, 3)).head(1200), NOISE, draw, "test"),
        "retrieval": answered(pl.concat([similar, again]), NOISE, draw, "retrieval"),
        "popular": answered(popular(ws, draw, 1500), NOISE, draw, "popular"),
        "carousel": answered(ours.slice(1500, 1000), 0.4, draw, "carousel"),
    }


def popular(ws: Workspace, draw: np.random.Generator, count: int) -> pl.DataFrame:
    """Pairs of items at random: three in ten of one community, and a few communities have most of them."""
    frame, vectors = vectors_of(ws)
    communities = frame["community"].to_numpy()
    weights = 1.0 / (1 + np.array([COMMUNITIES.index(name) for name in communities]))
    first = draw.choice(len(frame), count, p=weights / weights.sum())
    second = draw.integers(len(frame), size=count)
    for at in np.flatnonzero(draw.random(count) < 0.3):
        second[at] = draw.choice(np.flatnonzero(communities == communities[first[at]]))
    pairs = pl.DataFrame({
        "item": frame["id"][first], "shown": frame["id"][second], "community": frame["community"][first],
        "text": frame["text"][first] + " | " + frame["text"][second],
        "similarity": (vectors[first] * vectors[second]).sum(axis=1).astype(np.float32),
        "alike": communities[first] == communities[second],
    })  # fmt: skip
    return pairs.filter(pl.col("item") != pl.col("shown"))


def answered(pairs: pl.DataFrame, noise: float, draw: np.random.Generator, source: str) -> pl.DataFrame:
    """With a click where the items are of one community, turned over at the rate ``noise``."""
    clicks = pairs["alike"].to_numpy() ^ (draw.random(len(pairs)) < noise)
    return pairs.select(
        pl.Series("id", [f"{source}/{number}" for number in range(len(pairs))]),
        "text",
        pl.Series("label", np.where(clicks, "click", "none")),
        pl.lit(source).alias("source"), "community", "similarity", "item", "shown",
    )  # fmt: skip


def vectors_of(ws: Workspace) -> tuple[pl.DataFrame, Matrix]:
    frame = ws.sql("SELECT id, text, community, embedding FROM items ORDER BY id")
    return frame.drop("embedding"), np.array(frame["embedding"].to_list(), np.float64)


def raced(ws: Workspace, work: Path) -> list[Row]:
    """AUC on the test pairs of a probe on each arm's pairs, by seed; target and selection are drawn anew."""
    frame, vectors = vectors_of(ws)
    row = dict(zip(frame["id"], range(len(frame)), strict=True))
    read = {path.stem: pl.read_parquet(path) for path in (work / "clicks").glob("*.parquet")}
    test, pool = read["test"], pl.concat([read[name] for name in ("retrieval", "popular", "carousel")])

    def features(pairs: pl.DataFrame) -> Matrix:
        return vectors[[row[name] for name in pairs["item"]]] * vectors[[row[name] for name in pairs["shown"]]] * 20

    truth = codes(test)
    scores: dict[str, list[float]] = {
        "cosine of the two items": [float(roc_auc_score(truth, test["similarity"]))] * SEEDS
    }
    rare = test["community"].is_in(COMMUNITIES[len(COMMUNITIES) // 2 :]).to_numpy()
    rarer = {"cosine of the two items": [float(roc_auc_score(truth[rare], test["similarity"].to_numpy()[rare]))]}
    counts: dict[str, list[int]] = {"cosine of the two items": [0]}
    for seed in range(SEEDS):
        for name, (target, chosen) in arms(ws, work, pool, seed).items():
            rows = np.concatenate([features(target), features(chosen)])
            labels = np.concatenate([codes(target), codes(chosen)])
            shares = probe.shares_of(probe.balanced(codes(target)), probe.balanced(codes(chosen)))
            found = probe.fit(rows, labels, shares, 2).log_probabilities(features(test))
            said = found[:, 1] - found[:, 0]
            scores.setdefault(name, []).append(float(roc_auc_score(truth, said)))
            rarer.setdefault(name, []).append(float(roc_auc_score(truth[rare], said[rare])))
            counts.setdefault(name, []).append(len(chosen))
        print({name: values[-1] for name, values in scores.items()}, flush=True)
    return [compared(name, scores, counts) | {"rarer": float(np.mean(rarer[name]))} for name in scores]


def codes(pairs: pl.DataFrame) -> npt.NDArray[np.int64]:
    return (pairs["label"] == "click").to_numpy().astype(np.int64)


def arms(ws: Workspace, work: Path, pool: pl.DataFrame, seed: int) -> dict[str, tuple[pl.DataFrame, pl.DataFrame]]:
    """Target and chosen pairs of every arm. All choose from what decontamination let through."""
    drawn = f"md5_number_lower('{seed} ' || id) % 3 = 0"
    mixes = {name: settings(seed, drawn, name) for name in ("mix", *VARIANTS)}
    built = {name: ws.mix(recipe, data=work / "clicks") for name, recipe in mixes.items()}
    ledger = built["mix"].ledger().filter(pl.col("stage") == "decontaminate", "keep")
    clean = pool.join(ledger.select("id"), on="id", how="semi", maintain_order="left")
    shuffled = clean.sample(fraction=1.0, shuffle=True, seed=seed)
    turns = shuffled.with_columns(pl.int_range(pl.len()).over("label").alias("turn")).sort("turn", maintain_order=True)
    size = len(built["mix"])
    chosen = {
        "target only": pool.clear(),
        "random": shuffled.head(size),
        "random, labels balanced": turns.head(size).drop("turn"),
        "full": clean,
        **{name: pool.join(mix.frame().select("id"), on="id", how="semi") for name, mix in built.items()},
    }
    target = ws.sql(f"SELECT id, label, item, shown FROM recommender_target WHERE {drawn} ORDER BY id")
    return {name: (target, pairs) for name, pairs in chosen.items()}


def settings(seed: int, drawn: str, variant: str) -> Recipe:
    """The recipe with another target draw and another draw of its last stage, or a variant of it."""
    values = tomllib.loads((RECIPES / "recommender.toml").read_text("utf8"))
    values["task"]["target"] = {"path": "target.parquet", "where": drawn}
    stages = {use["use"]: use for use in values["stage"]}
    stages["ratio"]["seed"] = seed
    if variant == NO_QUOTAS:
        stages["ratio"] = {"use": "ratio", "budget": 1000, "by": "label", "order": "random", "seed": seed}
    hard = [{"use": "hard_pairs.sql", "spare_clicks": variant == SPARED}] if variant in (HARD, SPARED) else []
    values["stage"] = [*list(stages.values())[:-1], *hard, stages["ratio"]]
    values["name"] = f"recommender-{['mix', *VARIANTS].index(variant)}-{seed}"
    return Recipe.parse(values, folder=RECIPES)


def compared(name: str, scores: dict[str, list[float]], counts: dict[str, list[int]]) -> Row:
    """Mean with the 95 % t-interval over seeds, and that of what the mix has more."""
    mine, mix = np.array(scores[name]), np.array(scores["mix"])
    more = mix - mine
    return {
        "arm": name, "pairs": float(np.mean(counts[name])), "auc": scores[name],
        "interval": None if mine.std() == 0 else interval(mine), "mix_minus": None if name == "mix" else interval(more),
    }  # fmt: skip


def interval(values: Matrix) -> list[float]:
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return [float(values.mean()), float(values.mean() - half), float(values.mean() + half)]


def reranked(ws: Workspace, asked: list[str]) -> list[Row]:
    """Of five of the 20 nearest: how near, of how many communities, and their Vendi score; means over items."""
    rows = []
    for name, call in RERANKED.items():
        found = []
        for item in asked:
            ranked = call.format(item=item, near=NEAR.format(item=item))
            ids = ws.sql(f"SELECT id FROM {ranked} AS r WHERE rank <= 5")["id"].to_list()
            found.append(judged(ws, item, ids))
        rows.append(
            {"order": name, "items": len(asked)}
            | {key: float(np.mean([one[key] for one in found])) for key in found[0]}
        )
        print(rows[-1], flush=True)
    return rows


def judged(ws: Workspace, item: str, ids: list[str]) -> Row:
    these = "(SELECT * FROM items WHERE list_contains($ids, id))"
    return ws.sql(f"""
        SELECT avg(array_inner_product(a.embedding, i.embedding)) AS similarity,
               count(DISTINCT i.community) AS communities, avg((i.community = a.community)::INTEGER) AS clicked,
               (SELECT score FROM vendi_score({these})) AS vendi
        FROM {these} AS i, (SELECT * FROM items WHERE id = $item) AS a
    """, ids=ids, item=item).row(0, named=True)  # fmt: skip
