"""The sample corpora are what their README and planted.jsonl say; docstrings() reads what is installed."""

import itertools
import json
import logging
import re
import statistics
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from curator import demo
from curator.errors import UsageError

LABELS = {"negative", "neutral", "positive"}
ON_TASK = ("hotels", "restaurants", "shopping", "apps", "telecom", "transport", "courses")
POOLS = (*ON_TASK, "clinic")
CORPORA = ("target", "test", *POOLS)
DUPLICATES, LEAKS = ("exact-duplicate", "near-duplicate"), ("leak-exact", "leak-near")

# A sentence's frame is its function words in order, with every run of other words as one blank: texts filled into a
# template share frames. Sentences under six words and frames with under three function words say nothing.
FUNCTION_WORDS = frozenset(
    re.findall(
        r"\S+",
        """a an the this that these those i you he she it we they me him her us them my your his its our their mine
    yours who what which when where why how there here is are was were be been being am do does did done have has had
    having will would can could should shall may might must not no n't and or but if so because than then as at by for
    from in into of off on onto out over to up with without about after before again also all any both each few more
    most much many some such only own same too very just still even yet ever never now once while until since though
    although through under between during against back down""",
    )
)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9£$€%']+", text.lower().replace("’", "'"))


def frames(text: str) -> set[str]:
    found = set()
    for sentence in re.split(r"[.!?\n]+", text):
        if len(words(sentence)) < 6:
            continue
        marked = [word if word in FUNCTION_WORDS else "_" for word in words(sentence)]
        frame = [word for n, word in enumerate(marked) if word != "_" or marked[n - 1 : n] != ["_"]]
        if sum(word != "_" for word in frame) >= 3:
            found.add(" ".join(frame))
    return found


def normalised(text: str) -> str:
    """Lower case, apostrophes gone, every other mark a space."""
    return " ".join(re.sub(r"[^\w£$€%]+", " ", re.sub(r"['’]", "", text.lower())).split())


def jaccard(a: set, b: set) -> float:
    return len(a & b) / len(a | b)


def fivegrams(text: str) -> set[tuple[str, ...]]:
    w = words(text)
    return {tuple(w[n : n + 5]) for n in range(len(w) - 4)} or {tuple(w)}


def trigrams(text: str) -> set[str]:
    padded = f"  {normalised(text)} "
    return {padded[n : n + 3] for n in range(len(padded) - 2)}


def read(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (demo.corpora() / f"{name}.jsonl").read_text("utf8").splitlines()]


@pytest.fixture(scope="module")
def corpora() -> dict[str, dict[str, dict[str, str]]]:
    """Corpus name → id → row."""
    return {name: {row["id"]: row for row in read(name)} for name in CORPORA}


@pytest.fixture(scope="module")
def planted() -> list[dict[str, str]]:
    return read("planted")


@pytest.fixture(scope="module")
def written(corpora, planted) -> dict[str, str]:
    """``corpus:id`` → text, without the planted copies. Rows with a planted label are in: their text is their own."""
    copies = {f"{p['corpus']}:{p['id']}" for p in planted if p["kind"] != "wrong-label"}
    everything = {f"{name}:{key}": row["text"] for name, rows in corpora.items() for key, row in rows.items()}
    return {key: text for key, text in everything.items() if key not in copies}


def test_files_are_the_ones_named_here():
    assert {path.stem for path in demo.corpora().iterdir()} == {*CORPORA, "planted"}
    assert demo.recipe() == demo.corpora().parent / "demo.toml"


def test_sizes_labels_and_ids(corpora):
    texts = [row["text"] for rows in corpora.values() for row in rows.values()]
    assert len(set(texts)) == len(texts) >= 1000
    assert len(corpora["test"]) >= 150
    assert len(POOLS) >= 6
    for name in CORPORA:
        rows = read(name)
        assert all(set(row) == {"id", "text", "label"} and row["label"] in LABELS for row in rows)
        assert all(row["text"] and row["text"] == row["text"].strip() for row in rows)
        prefix = f"bank-{name}" if name in ("target", "test") else name
        # copies continue the numbering of the others: 001 … n, each once, and not in order in the file
        ids = [row["id"] for row in rows]
        assert sorted(ids) == [f"{prefix}-{n:03d}" for n in range(1, len(rows) + 1)]
        assert ids != sorted(ids)


def test_no_two_written_texts_are_near_copies(written):
    grams = {key: fivegrams(text) for key, text in written.items()}
    holders = defaultdict(list)
    for key, found in grams.items():
        for gram in found:
            holders[gram].append(key)
    pairs = {pair for keys in holders.values() for pair in itertools.combinations(sorted(keys), 2)}
    assert [pair for pair in pairs if jaccard(grams[pair[0]], grams[pair[1]]) > 0.3] == []


def test_no_sentence_frame_recurs_more_than_three_times(written):
    users = defaultdict(set)
    for key, text in written.items():
        for frame in frames(text):
            users[frame].add(key)
    assert len(users) > 1000
    assert {frame: keys for frame, keys in users.items() if len(keys) > 3} == {}


def test_frame_is_blind_to_content_words():
    assert frames("The kettle on the shelf was broken again. Short one.") == {"the _ on the _ was _ again"}
    assert frames("The blue train to Leeds was late") == frames("The rusty old tram to town was full")
    assert frames("Blue train") == frames("Rusty blue trains took us somewhere else") == set()


def test_planted_rows_exist_once(corpora, planted):
    assert {p["kind"] for p in planted} == {"wrong-label", *DUPLICATES, *LEAKS}
    places = [(p["corpus"], p["id"]) for p in planted]
    assert len(set(places)) == len(places)
    assert all(corpus in POOLS and key in corpora[corpus] for corpus, key in places)


def test_wrong_labels_are_wrong(corpora, planted):
    wrong = [p for p in planted if p["kind"] == "wrong-label"]
    for p in wrong:
        assert p["of"] is None
        assert p["true_label"] in LABELS - {corpora[p["corpus"]][p["id"]]["label"]}
    assert {p["corpus"] for p in wrong} == set(ON_TASK)
    copies = sum(p["corpus"] in ON_TASK and p["kind"] != "wrong-label" for p in planted)
    on_task = sum(len(corpora[name]) for name in ON_TASK) - copies
    assert 1 / 10 < len(wrong) / on_task < 1 / 7


def test_copies_are_of_what_they_say(corpora, planted):
    true = {(p["corpus"], p["id"]): p["true_label"] for p in planted}
    counts = Counter(p["kind"] for p in planted)
    assert (counts["leak-exact"], counts["leak-near"]) == (12, 12)
    assert (counts["exact-duplicate"], counts["near-duplicate"]) == (10, 20)
    for p in (p for p in planted if p["kind"] != "wrong-label"):
        corpus, key = p["of"].split(":")
        original, copy = corpora[corpus][key], corpora[p["corpus"]][p["id"]]
        assert corpus == "test" if p["kind"] in LEAKS else corpus in POOLS
        assert copy["label"] == p["true_label"] == true.get((corpus, key), original["label"])
        assert copy["text"] != original["text"]
        same = normalised(copy["text"]) == normalised(original["text"])
        assert same == (p["kind"] in ("leak-exact", "exact-duplicate")), p
        assert jaccard(trigrams(copy["text"]), trigrams(original["text"])) > 0.5, p


def test_nothing_else_of_the_test_set_is_in_the_pool(corpora, planted):
    tests = {normalised(row["text"]) for row in corpora["test"].values()}
    found = {(c, key) for c in POOLS for key, row in corpora[c].items() if normalised(row["text"]) in tests}
    assert found == {(p["corpus"], p["id"]) for p in planted if p["kind"] == "leak-exact"}


def readme_table(first_heading: str) -> list[list[str]]:
    """Cells of the README table whose first column has this heading, without its two heading lines."""
    lines = (demo.corpora().parent / "README.md").read_text("utf8").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {first_heading} |"))
    body = itertools.takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body]


def test_readme_figures_are_those_of_the_files(corpora, planted):
    kinds = Counter((p["corpus"], p["kind"]) for p in planted)
    rows, totals = [], [0] * 5
    for name in CORPORA:
        lengths = [len(row["text"].split()) for row in corpora[name].values()]
        labels = Counter(row["label"] for row in corpora[name].values())
        duplicates, leaks = (sum(kinds[name, kind] for kind in group) for group in (DUPLICATES, LEAKS))
        size = len(lengths)
        figures = [size, size - duplicates - leaks, duplicates, leaks, kinds[name, "wrong-label"]]
        totals = [a + b for a, b in zip(totals, figures, strict=True)]
        balance = " / ".join(str(labels[label]) for label in sorted(LABELS))
        spread = f"{min(lengths)} / {statistics.median_high(lengths)} / {max(lengths)}"
        rows.append([name, *map(str, figures), balance, spread])
    rows.append(["all", *map(str, totals), "", ""])
    assert [[line[0], *line[2:]] for line in readme_table("corpus")] == rows
    by_kind = Counter(p["kind"] for p in planted)
    assert {line[0]: int(line[1]) for line in readme_table("kind")} == by_kind


# docstrings()

MODULE = '''"""A module that says what it does."""
class Kettle:
    """Boils water when it is asked to.

    At the margin,
        and indented
    """
    if True:
        async def pour(self):
            "Pours the water into a cup."
    def whistle(self):
        """Too short."""
try:
    pass
except ValueError:
    def fallback():
        """Boils water over an open fire."""
def escaped(x="\\d"):
    """Five words with a surrogate \\ud800"""
def repeated():
    """A module that says what it does."""
def repeated_too():
    """Boils water over an open fire."""
'''


@pytest.fixture
def site_packages(tmp_path, monkeypatch) -> Path:
    """A site-packages with one distribution, and nothing else on ``sys.path``."""
    contents = {
        "teapot/a.py": MODULE,
        "teapot/broken.py": 'def (:\n    """This file does not parse at all."""\n',
        "teapot/data.txt": '"""This is not a Python file, is it?"""\n',
        "teapot-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: teapot\nVersion: 1.0\n",
    }
    for name, text in contents.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf8")
    listed = [*contents, "teapot/missing.py", "../../bin/teapot.py"]
    (tmp_path / "teapot-1.0.dist-info" / "RECORD").write_text("".join(f"{name},,\n" for name in listed), "utf8")
    (tmp_path / "stray.py").write_text('"""No distribution lists this file as its own."""\n', "utf8")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def test_docstrings_are_those_of_modules_classes_and_functions(site_packages, caplog):
    with caplog.at_level(logging.INFO, "curator.demo"):
        frame = demo.docstrings()
    assert frame.rows() == [
        ("teapot/a.py:1", "A module that says what it does.", "teapot"),
        ("teapot/a.py:3", "Boils water when it is asked to.\n\nAt the margin,\n    and indented", "teapot"),
        ("teapot/a.py:10", "Pours the water into a cup.", "teapot"),
        ("teapot/a.py:17", "Boils water over an open fire.", "teapot"),
        ("teapot/a.py:19", "Five words with a surrogate ?", "teapot"),
    ]
    assert frame.columns == ["id", "text", "source"]
    assert "1 files; 2 files could not be parsed" in caplog.text  # broken.py and missing.py


def test_long_docstrings_keep_whole_paragraphs(site_packages):
    paragraph = "one two three four five " * 28 + "end."  # 676 characters
    (site_packages / "teapot" / "a.py").write_text(
        f'"""{paragraph}\n\n{paragraph}\n\n{paragraph}"""\ndef f():\n    """{"wordy " * 400}"""\n', "utf8"
    )
    first, second = demo.docstrings()["text"]
    assert first == f"{paragraph}\n\n{paragraph}"
    assert second == " ".join(["wordy"] * 250)  # 1,499 characters


def test_docstrings_of_this_environment():
    frame = demo.docstrings(250, seed=3)
    assert frame.height == 250
    assert frame["text"].n_unique() == frame["id"].n_unique() == 250
    assert frame["text"].str.len_chars().max() <= 1500
    assert min(len(text.split()) for text in frame["text"]) >= 5
    assert frame.equals(demo.docstrings(250, seed=3))
    assert set(frame["id"]) != set(demo.docstrings(250, seed=4)["id"])


def test_docstrings_refuses_a_limit_below_one():
    with pytest.raises(UsageError, match="limit is 0"):
        demo.docstrings(0)
