"""The report of a race: escaped, self-contained, well-formed, and with the figures of the statistics."""

import base64
import copy
import hashlib
import itertools
import re
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from scipy import stats

from curator.errors import DataError
from curator.race import statistics
from curator.race.statistics import analyse
from curator.report import html, markdown, table
from curator.report.uses import uses

LABELS = ["negative", "neutral", "positive"]
STAGES = [  # name, share kept, threshold, rules that drop
    ("decontaminate", 0.985, 0.95, ["near-duplicate of a test document"]),
    ("quality", 0.88, None, ["fewer than 4 words", "mostly punctuation", "not the task’s language"]),
    ("relevance", 0.34, 0.35, ["below the similarity threshold"]),
    ("own-label", 0.81, 0.5, ["nearest target document has another label"]),
    ("deduplicate", 0.9, 0.93, ["near-duplicate of a kept document"]),
    ("ratio", 0.31, None, ["over the budget of its source"]),
]
SOURCES = {"tweets": 0.46, "app_reviews": 0.24, "news": 0.21, "forum": 0.09}
EXAMPLES = [
    ("tweets", "Quarterly profit up 12 % on strong loan growth, dividend raised", "positive", True, "ratio", 0.812),
    (
        "news",
        "The company said sales for the period were in line with the previous year.",
        "neutral",
        True,
        "ratio",
        0.774,
    ),
    ("app_reviews", "Card declined abroad three times, support never answered.", "negative", True, "ratio", 0.641),
    ("tweets", "lol monday", "neutral", False, "quality", None),
    ("forum", "Anyone else think the new stadium roof is hideous? " * 14, "negative", False, "relevance", 0.118),
    ("news", "Operating profit fell to EUR 3.1 mn from EUR 4.5 mn.", "positive", False, "own-label", 0.713),
]


def parts(total: int, weights: list[float]) -> list[int]:
    """Whole numbers in these proportions that add up to the total."""
    edges = np.round(np.cumsum([0.0, *weights]) / sum(weights) * total).astype(int)
    return np.diff(edges).tolist()


def mix_summary(rng: np.random.Generator, pool: int = 48_210) -> dict[str, Any]:
    funnel, seen = [], pool
    for position, (stage, keep, _, rules) in enumerate(STAGES):
        kept = round(seen * keep)
        dropped = parts(seen - kept, list(rng.uniform(0.2, 1, len(rules))))
        entries = [{"rule": "passes", "keep": True, "documents": kept}]
        entries += [{"rule": rule, "keep": False, "documents": n} for rule, n in zip(rules, dropped, strict=True)]
        row = {
            "stage": stage,
            "position": position,
            "seen": seen,
            "kept": kept,
            "dropped": seen - kept,
            "rules": entries,
        }
        funnel.append({**row, "seconds": float(rng.uniform(0.1, 9))})
        seen = kept
    weights = [share * w for share in SOURCES.values() for w in rng.dirichlet([4, 6, 3])]
    keys = [(source, label) for source in SOURCES for label in LABELS]
    composition = [
        {"source": source, "label": label, "documents": n, "of": of}
        for (source, label), n, of in zip(keys, parts(seen, weights), parts(pool, weights), strict=True)
    ]
    return {
        "name": "finance",
        "seed": 0,
        "pool": pool,
        "documents": seen,
        "created": "2026-03-04T09:12:44+00:00",
        "digest": "9f2c1e77a0b4d3e8",
        "funnel": funnel,
        "composition": composition,
        "distributions": [
            histogram(rng, row, STAGES[i][2]) for i, row in enumerate(funnel) if STAGES[i][2] is not None
        ],
        "examples": [example(i, *given) for i, given in enumerate(EXAMPLES)],
        "decontamination": [
            {"source": "news", "documents": 512, "text": 12, "run": 301, "cosine": 440, "words": 9},
            {"source": "tweets", "documents": 211, "text": 211, "run": 160, "cosine": 211, "words": 170},
        ],
        "coverage": [
            {"layer": "text", "checked": 3_000, "documents": 3_000},
            {"layer": "run", "checked": 2_850, "documents": 3_000},
            {"layer": "cosine", "checked": 3_000, "documents": 3_000},
        ],
        "affected": [
            {
                "by": "source",
                "stage": "relevance",
                "position": 3,
                "group": "news",
                "seen": 3_100,
                "dropped": 2_170,
                "share": 0.7,
                "low": 0.6812,
                "high": 0.7183,
                "others": 0.4121,
            }
        ],
        "warnings": ["1,204 texts of app_reviews are longer than 256 tokens and were truncated"],
        "sources": [
            {
                "corpus": "target",
                "role": "target",
                "documents": 48,
                "rejects": 0,
                "truncated": 0,
                "origin": "train.parquet",
            },
            {
                "corpus": "news",
                "role": "pool",
                "documents": 9911,
                "rejects": 3,
                "truncated": 40,
                "origin": "news/*.parquet",
            },
        ],
    }


def histogram(rng: np.random.Generator, row: dict[str, Any], threshold: float | None) -> dict[str, Any]:
    scores = np.clip(rng.beta(3, 4.5, row["seen"]) * 1.05, 0, 0.999)
    edges = np.round(np.linspace(0, 1, 41), 3)
    bins = np.histogram(scores, edges)[0]
    closer = row["stage"] in ("relevance", "own-label")  # the others drop what is too close
    above = [(float(low) >= (threshold or 0)) is closer for low in edges[:-1]]
    return {
        "stage": row["stage"],
        "threshold": threshold,
        "bins": [
            {"low": float(low), "high": float(high), "kept": int(n) if up else 0, "dropped": 0 if up else int(n)}
            for low, high, n, up in zip(edges[:-1], edges[1:], bins, above, strict=True)
        ],
    }


def example(i: int, corpus: str, text: str, label: str, keep: bool, stage: str, score: float | None) -> dict[str, Any]:
    rule = "within the budget" if keep else next(rules[0] for name, _, _, rules in STAGES if name == stage)
    return {
        "corpus": corpus,
        "id": f"{corpus}-{i:05d}",
        "text": text,
        "label": label,
        "keep": keep,
        "stage": stage,
        "rule": rule,
        "sentence": f"{'Kept' if keep else 'Dropped'} by {stage}: {rule}.",
        "score": score,
        "threshold": 0.35 if score is not None else None,
        "partner_text": "Net profit rose to EUR 5.2 mn from EUR 4.1 mn a year earlier." if score is not None else None,
    }


ABILITY = {"mix": 0.685, "target-only": 0.575, "random": 0.648, "random-balanced": 0.676, "full": 0.679}
MEANING = {
    "mix": "The documents the recipe chose, with the target at half weight.",
    "target-only": "The target documents alone.",
    "random": "As many documents as the mix, drawn at random.",
    "random-balanced": "As many, drawn at random with equal shares of the labels.",
    "full": "The whole pool.",
}


def race_record(seed: int = 7, seeds: int = 5, evaluation: int = 800, labels: int = 3) -> dict[str, Any]:
    """A plausible race on financial sentiment: the mix beats two arms and not the two others."""
    rng = np.random.default_rng(seed)
    names = LABELS if labels == 3 else [f"intent_{i:02d}" for i in range(labels)]
    truth = rng.choice(labels, evaluation, p=rng.dirichlet([8] * labels))
    hard = rng.normal(0, 0.2, evaluation)
    runs = []
    for arm, ability in ABILITY.items():
        for s in range(seeds):
            right = rng.random(evaluation) < ability + rng.normal(0, 0.006) + hard
            guess = np.where(right, truth, (truth + rng.integers(1, labels, evaluation)) % labels)
            runs.append(
                {
                    "arm": arm,
                    "seed": s,
                    "documents": {"target-only": 0, "full": 48_210}.get(arm, 3_216 - s % 2),
                    "steps": 200,
                    "best_step": int(rng.integers(5, 11)) * 20,
                    "seconds": float(rng.uniform(62, 75)),
                    "selection_seconds": 8.4 if arm == "mix" else 0.1,
                    "predictions": guess.tolist(),
                    "roc_auc": float(ability + 0.15),
                    "dev": {"macro_f1": ability - 0.02} if arm != "full" else None,
                    "error": None,
                }
            )
    return {
        "format": 1,
        "kind": "race",
        "name": "finance",
        "description": "Sentiment of financial news, 16 examples per label, against tweets, reviews and forum posts.",
        "smoke": None,
        "started": "2026-03-04T09:14:02+00:00",
        "seconds": 1911.4,
        "command": "curator race recipes/finance.toml --data data",
        "commit": {"sha": "45659d2", "dirty": False},
        "environment": {
            "curator": "0.1.0",
            "python": "3.11.9",
            "platform": "Linux-6.1-x86_64",
            "processor": "Example CPU",
            "cores": 2,
            "device": "cpu",
            "precision": "bf16",
            "versions": {"duckdb": "2.0.0", "torch": "2.13.0", "faiss": "1.15.1"},
        },
        "recipe": {
            "name": "finance",
            "task": {"target": {"path": "train.parquet"}, "shots": 16},
            "stage": [{"use": stage, "min_score": threshold} for stage, _, threshold, _ in STAGES],
            "train": {"model": "embedded", "steps": 200, "lambda": -0.5},
            "race": {"arms": list(ABILITY), "seeds": seeds},
        },
        "labels": names,
        "metric": "macro_f1",
        "evaluation": {
            "documents": evaluation,
            "of": 4_846,
            "ids": [f"test-{i}" for i in range(evaluation)],
            "truth": truth.tolist(),
        },
        "arms": [
            {"name": name, "selecting": name not in ("target-only", "full"), "description": MEANING[name]}
            for name in ABILITY
        ],
        "runs": runs,
        "mix": mix_summary(rng),
    }


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    return race_record()


@pytest.fixture(scope="module")
def page(recorded: dict[str, Any]) -> str:
    return html(recorded)


def small(**changes: Any) -> dict[str, Any]:
    return {**race_record(seeds=3, evaluation=60), **changes}


class Reader(HTMLParser):
    """Checks that tags are balanced, and collects attributes, text by element, and tables by id."""

    VOID = ("meta", "link", "br", "hr", "img", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.current: list[list[str]] | None = None
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag in self.VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self.current = self.tables.setdefault(dict(attrs).get("id") or f"table-{len(self.tables)}", [])
        if tag == "tr" and self.current is not None:
            self.current.append([])
        if tag in ("td", "th") and self.current is not None:
            self.current[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag
        if tag == "table":
            self.current = None

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)
        if self.current is not None and ("td" in self.open or "th" in self.open):
            self.current[-1][-1] += data

    def has(self, tag: str, **attributes: str) -> bool:
        return any(t == tag and all(a.get(k) == v for k, v in attributes.items()) for t, a in self.seen)


# The page


def test_page_is_well_formed(page: str) -> None:
    reader = Reader(page)
    assert page.startswith('<!doctype html>\n<html lang="en">')
    assert reader.has("main")
    ids = [attributes["id"] for _, attributes in reader.seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for tag, attributes in reader.seen if tag == "a"]
    assert links
    assert all(link and link[1:] in ids for link in links)


def scripts(page: str) -> list[str]:
    """What the page would run: its scripts that are not data."""
    return re.findall(r"<script>(.*?)</script>", page, re.DOTALL)


def test_page_loads_nothing_and_runs_its_own_script_alone(page: str) -> None:
    reader = Reader(page)
    kinds = {attributes.get("type") for tag, attributes in reader.seen if tag == "script"}
    assert kinds <= {None, "application/json"}
    own = (files("curator.report") / "report.js").read_text("utf8")
    assert scripts(page) == [own]
    policy = next(a["content"] for tag, a in reader.seen if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert not {tag for tag, _ in reader.seen} & {"link", "img", "iframe", "object", "embed", "use", "image"}
    for _, attributes in reader.seen:
        assert not {"src", "srcset", "xlink:href", "action", "data"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    outside = re.sub(r'xmlns(:xlink)?="http://www\.w3\.org/[^"]*"', "", page)
    assert "http://" not in outside
    assert "https://" not in outside
    assert "url(" not in page
    assert "@import" not in page


def test_order_is_verdict_first_and_settings_last(page: str, recorded: dict[str, Any]) -> None:
    said = statistics.verdict(statistics.analyse(recorded))
    assert said in page  # it holds nothing that needs escaping
    ids = [a["id"] for tag, a in Reader(page).seen if tag == "section"]
    assert ids == [
        "arms",
        "labels",
        "groups",
        "funnel",
        "composition",
        "scores",
        "decontamination",
        "affected",
        "map",
        "documents",
        "settings",
    ]
    assert page.index(said) < page.index('id="arms"')


def test_whom_a_stage_drops_is_shown_beside_all_others(page: str, recorded: dict[str, Any]) -> None:
    section = page[page.index('id="affected"') :]
    section = section[: section.index("</section>")]
    for shown in ("relevance", "news", "3,100", "2,170", "70.0%", "68.1% to 71.8%", "41.2%"):
        assert f">{shown}<" in section
    recorded["mix"]["affected"] = []
    assert 'id="affected"' not in html(recorded)


def test_charts_have_a_sentence_and_tables_a_caption(page: str) -> None:
    reader = Reader(page)
    charts = [attributes for tag, attributes in reader.seen if tag == "svg"]
    assert len(charts) == 2 + 1 + 4 + 1
    assert all(chart["role"] == "img" and len(chart["aria-label"] or "") > 40 for chart in charts)
    tags = [tag for tag, _ in reader.seen]
    assert tags.count("caption") == tags.count("table") > 5
    assert all(attributes.get("scope") in ("row", "col", "colgroup") for tag, attributes in reader.seen if tag == "th")
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_every_number_of_the_verdict_table_is_that_of_the_statistics(page: str, recorded: dict[str, Any]) -> None:
    results = statistics.analyse(recorded)
    body = Reader(page).tables["verdict"][2:]
    assert len(body) == len(results.arms) == 5
    compared = {c.arm: c for c in results.comparisons}
    for cells, arm in zip(body, results.arms, strict=True):
        name, seeds, _, mean, interval, difference, family, finding = cells
        assert name.removesuffix(" outside the budget") == arm.name
        assert name.endswith(" outside the budget") is not arm.selecting
        assert int(seeds) == len(arm.seeds) == 5
        assert arm.interval is not None
        assert mean == f"{arm.mean:.1f}"
        assert interval == f"{arm.interval.low:.1f} to {arm.interval.high:.1f}"
        if arm.name == "mix":
            assert (difference, family, finding) == ("", "", "")
            continue
        comparison = compared[arm.name]
        assert comparison.family is not None
        got = [float(x.replace("−", "-")) for x in (difference, *family.split(" to "))]
        assert got == pytest.approx([comparison.difference, comparison.family.low, comparison.family.high], abs=0.051)
        assert finding == comparison.finding
    assert {row[-1] for row in body[1:]} == {"better", "indistinguishable"}


def test_every_number_of_the_comparisons_is_that_of_the_statistics(page: str, recorded: dict[str, Any]) -> None:
    results = statistics.analyse(recorded)
    for cells, c in zip(Reader(page).tables["comparisons"][1:], results.comparisons, strict=True):
        assert cells[0] == c.arm
        assert float(cells[2]) == pytest.approx(c.sd, abs=0.051)
        assert c.nominal is not None
        nominal = [float(x.replace("−", "-")) for x in cells[3].split(" to ")]
        assert nominal == pytest.approx([c.nominal.low, c.nominal.high], abs=0.051)
        assert c.p is not None
        assert cells[5] == ("< 0.001" if c.p < 0.001 else f"{c.p:.3f}")
        permuted = statistics.permuted(recorded, results)[c.arm]
        assert cells[7] == ("< 0.001" if permuted < 0.001 else f"{permuted:.3f}")
        assert float(cells[8]) == pytest.approx(c.detectable, abs=0.051)


def test_table_is_the_same_figures_unrounded(recorded: dict[str, Any]) -> None:
    results = statistics.analyse(recorded)
    rows = table(recorded)
    assert [row["arm"] for row in rows] == [arm.name for arm in results.arms]
    first, second = rows[0], rows[1]
    assert first["difference"] is first["difference_low"] is first["verdict"] is None
    assert first["documents"] == 3216  # 3216, 3215, 3216, 3215, 3216
    assert second["mean"] == results.arms[1].mean
    assert second["difference"] == pytest.approx(first["mean"] - second["mean"])
    family = results.comparisons[0].family
    assert family is not None
    assert (second["difference_low"], second["difference_high"]) == (family.low, family.high)
    assert second["verdict"] == results.comparisons[0].finding


# Texts of the record


EVIL = '<script>alert("x")</script><img src=http://evil.example/x onerror=alert(1)>&"\''


def spoiled() -> dict[str, Any]:
    """A record whose every free text is hostile."""
    record = small(name=EVIL, description=EVIL, smoke=EVIL, command=EVIL, labels=[f"{label}{EVIL}" for label in LABELS])
    for arm in record["arms"]:
        arm["description"] = EVIL
        if arm["name"] == "random":
            arm["name"] = f"random{EVIL}"
    for run in record["runs"]:
        run["arm"] = f"random{EVIL}" if run["arm"] == "random" else run["arm"]
    record["runs"][-1]["error"] = EVIL
    record["commit"]["sha"] = record["started"] = EVIL
    record["recipe"] = {EVIL: {"x": EVIL, "y": [EVIL]}}
    record["environment"] |= dict.fromkeys(("platform", "processor", "device", "curator"), EVIL)
    record["environment"]["versions"] = {EVIL: EVIL}
    mix = record["mix"]
    mix |= {"name": EVIL, "digest": EVIL, "created": EVIL, "warnings": [EVIL]}
    for key in ("funnel", "composition", "distributions", "examples", "decontamination", "sources"):
        for row in mix[key]:
            for name, value in row.items():
                row[name] = f"{value}{EVIL}" if isinstance(value, str) else value
    mix["funnel"][0]["rules"][0]["rule"] = EVIL
    return record


def test_texts_of_the_record_are_escaped() -> None:
    page = html(spoiled())
    reader = Reader(page)
    assert page.count("<script") == len(scripts(page)) == 1
    assert "<img" not in page
    assert not [name for _, attributes in reader.seen for name in attributes if name.startswith("on") or name == "src"]
    assert EVIL in "".join(reader.texts["h1"])  # unescaped once by the parser: exactly the text
    for tag in ("title", "h1", "blockquote", "dd", "td", "code", "b", "text", "li", "caption"):
        assert "<script>" in "".join(reader.texts[tag]), tag


def test_markdown_escapes_texts_of_the_record() -> None:
    record = small(name="a|b <script> [x](http://evil.example) `c` *d* _e_", description="two\n# lines")
    text = markdown(record)
    assert text.splitlines()[0] == r"# a\|b &lt;script&gt; \[x\](http://evil.example) \`c\` \*d\* \_e\_"
    assert r"two \# lines" in text
    fenced = markdown(small(command="echo ```\nrm"))
    assert "````sh\necho ```\nrm\n````" in fenced


def test_examples_show_reason_partner_and_all_of_a_long_text(page: str, recorded: dict[str, Any]) -> None:
    for example in recorded["mix"]["examples"]:
        assert f"{example['corpus']}:{example['id']}" in page
        assert example["sentence"] in page
    assert page.count("Net profit rose to EUR 5.2 mn") == 5
    assert "0.118 against 0.35" in page
    long = recorded["mix"]["examples"][4]["text"]
    assert page.count("stadium roof is hideous") == long.count("stadium roof is hideous")
    assert f"… {len(long) - 420} more characters" in page


# Counts


def test_funnel_adds_up_to_the_pool(page: str, recorded: dict[str, Any]) -> None:
    assert "The counts add up: " in page
    mix = recorded["mix"]
    rows = [row for row in Reader(page).tables["funnel-table"][1:] if row[0]]
    kept, dropped, seen = ([int(row[i].replace(",", "")) for row in rows] for i in (3, 4, 2))
    assert seen == [mix["pool"], *kept[:-1]]
    assert kept[-1] == mix["documents"]
    assert sum(dropped) + kept[-1] == mix["pool"]
    total = Reader(page).tables["composition-table"][-1]
    assert total[0] == "All sources"
    assert total[-2].split(" / ") == [f"{mix['documents']:,}", f"{mix['pool']:,}"]


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda m: m.update(pool=48_211), "stage decontaminate saw 48,210 documents, but the pool has 48,211"),
        (lambda m: m["funnel"][1].update(dropped=1), "stage quality kept"),
        (lambda m: m["funnel"][2].update(seen=5), "stage relevance saw 5 documents, but stage quality kept"),
        (lambda m: m["funnel"][1]["rules"][1].update(documents=50_000), "the rules of stage quality dropped"),
        (lambda m: m.update(documents=7), "the mix has 7 documents, but stage ratio kept"),
        (lambda m: m["composition"][0].update(documents=0), "the composition adds up to"),
    ],
)
def test_counts_that_do_not_add_up_are_found(spoil: Any, expected: str) -> None:
    record = small()
    record["mix"] = copy.deepcopy(record["mix"])
    spoil(record["mix"])
    text = markdown(record).replace("\\", "")
    assert "The counts do not add up" in text
    assert expected in text


def test_a_stage_that_names_a_rule_for_what_it_drops_alone_is_no_defect() -> None:
    record = small()
    record["mix"] = copy.deepcopy(record["mix"])
    record["mix"]["funnel"][-1]["rules"] = [
        {"rule": "over the quota of forum", "keep": False, "documents": record["mix"]["funnel"][-1]["dropped"]}
    ]
    assert "The counts do not add up" not in markdown(record)


def test_counts_that_do_not_add_up_are_shown_on_the_page() -> None:
    record = small()
    record["mix"] = {**record["mix"], "pool": 48_211}
    page = html(record)
    assert "The counts add up" not in page
    assert "The counts do not add up" in page
    assert "stage decontaminate saw 48,210 documents, but the pool has 48,211." in page
    assert Reader(page).has("div", **{"class": "notice error", "role": "alert"})


def test_what_documents_served_as_and_its_worth_is_told() -> None:
    record = race_record(seeds=3, evaluation=60)
    text = {"documents": 1200, "objective": "mlm", "steps": 150, "loss": 5.0}
    teacher = {"round": 1, "documents": 900, "taught": 41, "dev": {"documents": 30, "sure": 20, "wrong": 3}}
    for run in record["runs"]:
        run["uses"] = {"mix": {"text": text}, "full": {"teacher": [teacher]}}.get(run["arm"], {})
    results = analyse(record)
    rows = {one.arm: one for one in uses(record, results)}
    assert list(rows) == ["mix", "full"]
    scores = {arm.name: np.array(arm.scores) for arm in results.arms}
    for name, row in rows.items():
        gaps = scores[name] - scores["target-only"]
        half = stats.t.ppf(0.975, 2) * gaps.std(ddof=1) / 3**0.5
        assert row.difference == pytest.approx(gaps.mean())
        assert (row.interval.low, row.interval.high) == pytest.approx((gaps.mean() - half, gaps.mean() + half))
    assert rows["mix"].row()[1:5] == ["text", "1,200", "mlm, 150 steps before", ""]
    assert rows["full"].row()[1:5] == ["teacher", "900", "round 1: 41 labelled", "3 of 20"]
    for told in (html(record), markdown(record)):
        assert "mlm, 150 steps before" in told
        assert "3 of 20" in told
    assert 'id="uses"' not in html(small())


def test_by_label_and_confusion_are_counted_from_the_predictions() -> None:
    record = small(
        labels=["a", "b"],
        evaluation={"documents": 4, "of": 4, "ids": list("wxyz"), "truth": [0, 0, 0, 1]},
        arms=[{"name": "mix", "selecting": True, "description": ""}],
        mix=None,
    )
    template = record["runs"][0]
    runs = [[0, 0, 1, 1], [0, 1, 1, 1]]
    record["runs"] = [{**template, "seed": seed, "predictions": run} for seed, run in enumerate(runs)]
    tables = Reader(html(record)).tables
    # a: precision 1, 1; recall 2/3, 1/3; F1 .8, .5 — b: precision 1/2, 1/3; recall 1, 1; F1 2/3, .5
    assert tables["by-label"][2:] == [
        ["a", "3", "100.0", "50.0", "65.0"],
        ["b", "1", "41.7", "100.0", "58.3"],
    ]
    assert tables["confusion"][2:] == [["a", "1.5", "1.5"], ["b", "0.0", "1.0"]]


# Other races


def test_markdown_table_is_that_of_the_statistics(recorded: dict[str, Any]) -> None:
    text = markdown(recorded)
    results = statistics.analyse(recorded)
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| Arm |"))
    widths = {line.count("|") for line in lines[start : start + 7]}
    assert widths == {9}
    assert lines[start + 1].startswith("| --- | ---: |")
    first = results.comparisons[0]
    assert first.family is not None
    cells = [cell.strip() for cell in lines[start + 3].strip("|").split("|")]
    assert cells[0] == "target-only"
    assert cells[3] == f"{results.arms[1].mean:.1f}"
    assert cells[5] == f"+{first.difference:.1f}"
    assert cells[6] == f"{first.family.low:.1f} to {first.family.high:.1f}"
    assert cells[7] == "better"
    assert lines[start + 7] == ""
    assert "\n**The mix is better than " in text
    assert "\ntarget-only and full are outside the budget of documents.\n" in text


def test_smoke_is_in_the_title_and_the_verdict() -> None:
    record = small(smoke="3 of 5 seeds")
    page = html(record)
    assert "<title>Smoke: finance</title>" in page
    assert "<h1>Smoke: finance</h1>" in page
    assert "Only a smoke test (3 of 5 seeds)" in page
    assert markdown(record).startswith("# Smoke: finance\n")
    assert "Smoke" not in html(small())


def test_a_race_without_a_mix() -> None:
    page = html(small(mix=None))
    ids = [a["id"] for tag, a in Reader(page).seen if tag == "section"]
    assert ids == ["arms", "labels", "groups", "settings"]
    assert "#funnel" not in page
    assert "The mix:" not in markdown(small(mix=None))


def test_failed_runs_are_shown() -> None:
    record = small()
    record["runs"][4] |= {"error": "CUDA out of memory", "predictions": []}
    page = html(record)
    assert "1 of 15 runs failed and are left out of every figure." in page
    assert "1 of 15 runs failed and are left out." in page  # in the verdict
    assert "target-only, seed 1</b>: CUDA out of memory" in page
    runs = {(row[0], row[1]): row for row in Reader(page).tables["runs"][1:]}
    assert runs["target-only", "1"][2] == "–"
    assert "- target-only, seed 1, failed: CUDA out of memory" in markdown(record)


def test_one_seed_or_no_finished_run_still_makes_a_page() -> None:
    page = html(race_record(seeds=1, evaluation=40))
    assert "no verdict" in page
    assert len([tag for tag, _ in Reader(page).seen if tag == "svg"]) == 1 + 1 + 4 + 1
    record = small()
    for run in record["runs"]:
        run |= {"error": "killed", "predictions": []}
    assert "mix has no finished run" in html(record)
    assert table(record)[0]["mean"] is None


def test_many_labels_are_listed_not_drawn() -> None:
    record = race_record(seeds=2, evaluation=400, labels=40)
    reader = Reader(html(record))
    assert len(reader.tables["confusion"]) == 1 + 15
    found = [float(row[2]) for row in reader.tables["confusion"][1:]]
    assert found == sorted(found, reverse=True)
    assert len(reader.tables["by-label"]) == 2 + 40


def test_every_setting_and_version_is_there(page: str) -> None:
    settings = dict(row[:2] for row in Reader(page).tables.values() for row in row if len(row) == 2)
    assert settings["train.lambda"] == "-0.5"
    assert settings["stage[3].use"] == "relevance"
    assert settings["race.arms"] == "mix, target-only, random, random-balanced, full"
    for text in ("2.13.0", "45659d2", "curator race recipes/finance.toml", "Example CPU, 2 cores", "31 min 51 s"):
        assert text in page


def test_a_record_that_contradicts_itself_is_an_error() -> None:
    record = small(kind="mix")
    for render in (html, markdown, table):
        with pytest.raises(DataError, match="not a race record"):
            render(record)
