"""A trained model in use: the documents it was trained on beside its predictions, its record, its card, bad input."""

import contextlib
import io
import json
import logging
import re
import shutil
import warnings
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import yaml
from conftest import ToyEncoder
from huggingface_hub import ModelCard
from test_race import recipe  # noqa: F401  fixtures
from test_training import one_thread, tiny  # noqa: F401  fixtures

from curator import CuratorWarning, Workspace, cli
from curator.encoder import remembered
from curator.errors import DataError, UnknownNameError, UsageError, WorkspaceError
from curator.models import predicting
from curator.recipe import StageUse
from curator.training import Classifier

ASKED = ["shop good words", "counter bad words of test", "something else", "desk desk bad", "words of shop 7"]


@pytest.fixture
def ws(tmp_path, toy):
    return Workspace(tmp_path / "work", encoder=toy)


@pytest.fixture
def model(ws, recipe):  # noqa: F811
    """The directory of a model trained on a mix of 11 documents."""
    ws.train(recipe)
    return ws.root / "models" / "race"


def asked(texts=ASKED):
    return pl.DataFrame({"text": texts}, {"text": pl.String})


def changed(model, tmp_path, change):
    """A copy of a model whose curator.json is another."""
    other = tmp_path / "other"
    shutil.copytree(model, other, dirs_exist_ok=True)
    record = json.loads((other / "curator.json").read_text("utf8"))
    change(record)
    (other / "curator.json").write_text(json.dumps(record))
    return other


# The nearest documents


@pytest.mark.parametrize("k", [1, 4, 50])
def test_the_neighbours_are_those_of_brute_force(ws, toy, model, monkeypatch, k):
    monkeypatch.setattr(predicting, "PIECE", 2)  # so that there are three pieces, the last of one document
    mix = ws.mix("race").frame()
    found = ws.predict("race", asked(), explain=k)
    plain = ws.predict("race", asked())
    assert found.drop("neighbours")["id", "label", "text"].equals(plain["id", "label", "text"])
    cosines = toy.encode(ASKED).vectors.astype(float) @ toy.encode(mix["text"].to_list()).vectors.astype(float).T
    for near, cosine in zip(found["neighbours"].to_list(), cosines, strict=True):
        assert len(near) == min(k, 11)
        rows = [mix.row(by_predicate=pl.col("id") == one["id"], named=True) for one in near]
        places = [mix["id"].to_list().index(one["id"]) for one in near]
        assert [one["similarity"] for one in near] == pytest.approx(cosine[places], abs=1e-6)
        assert [one["similarity"] for one in near] == pytest.approx(np.sort(cosine)[::-1][:k], abs=1e-6)
        assert len(set(places)) == len(places)
        for one, row in zip(near, rows, strict=True):
            assert {name: one[name] for name in ("corpus", "label", "text")} == {
                name: row[name] for name in ("corpus", "label", "text")
            }


def test_a_document_of_the_mix_is_its_own_nearest(ws, model):
    mix = ws.mix("race").frame()
    found = ws.predict("race", mix.select("id", "text"), explain=1)
    assert [near[0]["id"] for near in found["neighbours"].to_list()] == mix["id"].to_list()
    assert found["neighbours"].list.first().struct.field("similarity").to_list() == pytest.approx([1] * 11)
    assert ws.last_report["explained"] == {
        "mix": "race", "version": ws.mix("race").version, "ids_sha256": ws.mix("race").lock["ids_sha256"],
        "documents": 11, "k": 1, "encoder": "toy", "truncated": 0,
    }  # fmt: skip


def test_the_neighbours_are_of_the_mix_it_was_trained_on_not_of_a_later_one(ws, recipe, model):  # noqa: F811
    first = set(ws.mix("race").frame()["id"])
    ws.mix(recipe.model_copy(update={"stage": [StageUse.model_validate({"use": "ratio", "budget": 30})]}))
    assert len(ws.mix("race")) == 30
    found = ws.predict("race", asked(), explain=30)["neighbours"].explode().struct.field("id")
    assert set(found) == first


def test_a_raced_model_knows_its_mix_too(ws, recipe):  # noqa: F811
    ws.race(recipe.model_copy(update={"race": recipe.race.model_copy(update={"arms": ["mix", "target-only"]})}))
    assert ws.predict("race", asked(), explain=2)["neighbours"].list.len().to_list() == [2] * 5
    assert ws.last_report["explained"]["version"] == ws.mix("race").version
    assert (ws.root / "races" / "race" / "model" / "README.md").exists()


def test_documents_without_weight_are_no_neighbours(ws, recipe, tmp_path):  # noqa: F811
    (tmp_path / "none.sql").write_text(
        "-- Half of them weigh nothing.\nSELECT corpus, id, true AS keep, "
        "CASE WHEN label = 'bad' THEN 0.0 ELSE 1.0 END AS weight FROM candidates\n"
    )
    ws.train(recipe.model_copy(update={"stage": [StageUse(use=str(tmp_path / "none.sql"))]}))
    found = ws.predict("race", asked(), explain=60)["neighbours"].explode().struct.unnest()
    assert set(found["label"]) == {"good"}
    assert ws.last_report["explained"]["documents"] == 30
    assert Classifier.load(ws.root / "models" / "race").trained_on.documents == 30


def test_texts_that_the_encoder_cut_are_counted(ws, model):
    with pytest.warns(CuratorWarning, match="1 of 2 texts are longer than the 16 tokens"):
        ws.predict("race", asked(["good", "bad " * 51]), explain=1)  # of which the toy reads 50 words
    assert (ws.last_report["truncated"], ws.last_report["explained"]["truncated"]) == (1, 1)


# What it was trained on


def test_the_record_comes_back_and_agrees_with_the_lock(ws, recipe, model):  # noqa: F811
    mix, on = ws.mix("race"), Classifier.load(model).trained_on
    assert (on.mix, on.version, on.ids_sha256) == ("race", mix.version, mix.lock["ids_sha256"])
    assert on.recipe == recipe.model_dump(mode="json", by_alias=True, exclude_none=True)
    task = ws._workshop(recipe).prepare(recipe, 0)
    assert (on.documents, on.target, on.dev) == (11, len(task.target), len(task.dev)) == (11, 12, 4)
    assert (on.steps, on.scores["n"]) == (3, 4)
    assert json.loads((model / "mix.lock.json").read_text("utf8")) == mix.lock
    again = model.parent / "again"
    Classifier.load(model).save(again)
    assert Classifier.load(again).trained_on == on
    assert not (again / "README.md").exists()


@pytest.mark.parametrize(("lambda_", "sides"), [(-1.0, (0, 12)), (0.0, (11, 0))])
def test_a_side_that_the_loss_leaves_out_was_not_trained_on(ws, recipe, lambda_, sides):  # noqa: F811
    ws.train(recipe.model_copy(update={"train": recipe.train.model_copy(update={"lambda_": lambda_})}))
    on = Classifier.load(ws.root / "models" / "race").trained_on
    assert (on.documents, on.target) == sides
    if not on.documents:
        with pytest.raises(UsageError, match=r"the model race was trained on its target alone \(lambda = -1\)"):
            ws.predict("race", asked(), explain=1)


def test_saving_over_a_model_leaves_no_card_of_the_other(ws, model):
    classifier = Classifier.load(model)
    replace(classifier, trained_on=None).save(model)
    assert not (model / "README.md").exists()
    assert not (model / "mix.lock.json").exists()
    with pytest.raises(DataError, match=r"the model race does not say which mix .* train it again"):
        ws.predict("race", asked(), explain=1)
    assert len(ws.predict("race", asked())) == 5


def test_a_readme_that_is_no_models_is_not_replaced(ws, recipe, tmp_path):  # noqa: F811
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "README.md").write_text("mine")
    with pytest.raises(DataError, match=r"project/README.md is not a model's"):
        ws.train(recipe, output=tmp_path / "project")
    assert [path.name for path in (tmp_path / "project").iterdir()] == ["README.md"]
    ws.train(recipe, output=tmp_path / "model")
    ws.train(recipe, output=tmp_path / "model")  # its own card may be


# The mix that is not there, or is another


def test_a_mix_that_is_gone_or_another_is_said(ws, toy, recipe, model, tmp_path):  # noqa: F811
    version = ws.mix("race").version
    with pytest.raises(WorkspaceError, match=rf"version {version} of the mix 'race', which is not in .*elsewhere.*-w"):
        Workspace(tmp_path / "elsewhere", encoder=toy).predict(model, asked(), explain=1)

    other = changed(model, tmp_path, lambda record: record["trained_on"].update(ids_sha256="0" * 64))
    with pytest.raises(WorkspaceError, match=r"the mix 'race' is not what the model .*other was trained on; train"):
        ws.predict(other, asked(), explain=1)

    document = ws.predict("race", asked(), explain=1)["neighbours"].explode().struct.field("id")[0]
    ws.forget(f"shop:{document}")
    with pytest.raises(WorkspaceError, match="was trained on: 1 documents were forgotten since; train the model again"):
        ws.predict("race", asked(), explain=1)

    shutil.rmtree(ws.root / "mixes" / "race")
    with pytest.raises(WorkspaceError, match=r"is not in .*build the mix or train the model again"):
        ws.predict("race", asked(), explain=1)
    assert len(ws.predict("race", asked())) == 5


def test_another_encoder_than_the_mixs_is_refused(ws, toy, model):
    toy.key = "another"
    with pytest.raises(UsageError, match="made of vectors of toy, and this workspace embeds with another"):
        Workspace(ws.root, encoder=toy).predict("race", asked(), explain=1)


def test_a_machine_of_another_precision_embeds_as_the_mix_was_made(tmp_path, recipe, monkeypatch):  # noqa: F811
    auto = "bf16"

    def load(settings):
        encoder = ToyEncoder()
        encoder.key = f"toy-{auto if settings.precision == 'auto' else settings.precision}"
        return encoder

    monkeypatch.setattr(remembered, "load", load)
    Workspace(tmp_path / "work").train(recipe)
    auto = "fp32"
    ws = Workspace(tmp_path / "work")
    assert ws.predict("race", asked(), explain=1)["neighbours"].list.len().sum() == 5
    assert ws.last_report["explained"]["encoder"] == "toy-bf16"
    assert not (ws.root / "vectors" / "toy-fp32").exists()


def test_brought_vectors_cannot_be_compared_with_a_text(ws, recipe, tmp_path):  # noqa: F811
    for name in ("race_target", "race_test", "shop"):
        file = {"race_target": "target", "race_test": "test"}.get(name, name)
        rows = pl.read_ndjson(tmp_path / f"{file}.jsonl")
        ws.add(name, rows, vectors=np.random.default_rng(len(name)).normal(size=(len(rows), 8)))
    sources = {"target": {"corpus": "race_target"}, "test": {"corpus": "race_test"}, "shots": 8}
    own = type(recipe).parse(
        {**recipe.model_dump(mode="json", by_alias=True, exclude_none=True), "task": sources, "pool": {"shop": {}}}
    )
    ws.train(own)
    with pytest.raises(UsageError, match="'shop', which came with vectors of its own"):
        ws.predict("race", asked(), explain=1)


@pytest.mark.parametrize("k", [0, -2])
def test_fewer_than_one_neighbour_is_refused(ws, model, k):
    with pytest.raises(UsageError, match=f"explain = {k}: .* at least 1"):
        ws.predict("race", asked(), explain=k)


# Bad input


def test_an_empty_input_gives_no_rows_and_says_so(ws, model, tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "head.csv").write_text("text,n\n")
    for origin in (asked([]), tmp_path / "empty.jsonl", tmp_path / "head.csv"):
        for explain, columns in ((None, 4), (2, 5)):
            with pytest.warns(CuratorWarning, match="no documents: nothing was predicted"):
                found = ws.predict("race", origin, explain=explain)
            assert found.shape == (0, columns)
            assert found.schema == ws.predict("race", asked(["good"]), explain=explain).schema


def test_what_cannot_be_read_is_named(ws, model, tmp_path):
    (tmp_path / "body.jsonl").write_text('{"body": "good"}\n')
    with pytest.raises(DataError, match=r"body.jsonl: no column 'text'; there are: body"):
        ws.predict("race", tmp_path / "body.jsonl")
    assert ws.predict("race", tmp_path / "body.jsonl", text="body")["text"].to_list() == ["good"]
    (tmp_path / "bad.jsonl").write_text('{"text": "good"}\n{"text": \n')
    with pytest.warns(CuratorWarning, match=r"1 rows could not be read; the first: .*bad.jsonl:2: "):
        assert len(ws.predict("race", tmp_path / "bad.jsonl")) == 1
    (tmp_path / "empty.txt").write_text("")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        ws.predict("race", tmp_path / "empty.txt")
    assert str(seen[0].message).endswith("empty.txt: empty text")  # there is no line to name


def test_texts_that_are_cut_are_counted(ws, model):
    at_most = "good " * 14  # with the two special tokens, 16
    assert len(ws.predict("race", asked([at_most]))) == 1
    assert ws.last_report["truncated"] == 0
    with pytest.warns(CuratorWarning, match="2 of 3 texts are longer than the 16 tokens that the model reads"):
        found = ws.predict("race", asked([at_most, at_most + "bad", at_most + "bad bad"]))
    assert ws.last_report["truncated"] == 2
    assert found["probability"].n_unique() == 1  # the rest was not read


def test_what_is_no_model_is_said(ws, model, tmp_path):
    with pytest.raises(UnknownNameError, match="no model named 'rice': did you mean 'race'"):
        ws.predict("rice", asked())
    (tmp_path / "a.toml").write_text("")
    with pytest.raises(DataError, match=r"a.toml: a file, not a model"):
        ws.predict(tmp_path / "a.toml", asked())
    with pytest.raises(DataError, match=r"no curator.json"):
        ws.predict(tmp_path, asked())
    other = changed(model, tmp_path, lambda record: record["trained_on"].update(mix="../x"))
    with pytest.raises(DataError, match=r"curator.json is damaged: mix: String should match .*\(got '../x'\); train"):
        ws.predict(other, asked())
    (other / "curator.json").write_text("[]")
    with pytest.raises(DataError, match=r"curator.json is damaged: TypeError"):
        ws.predict(other, asked())
    other = changed(model, tmp_path, lambda record: None)
    (other / "model.safetensors").write_bytes(b"0" * 100)
    with pytest.raises(UsageError, match=r"(?s)could not be loaded.*weights are not whole.*train it again"):
        ws.predict(other, asked())
    (other / "model.safetensors").unlink()
    with pytest.raises(DataError, match="the model has no weights"):
        ws.predict(other, asked())


# The card


def front_of(text):
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n")[1])


def test_the_card_says_what_the_lock_and_the_record_say(ws, model):
    mix, classifier, text = ws.mix("race"), Classifier.load(model), (model / "README.md").read_text("utf8")
    assert front_of(text) == {
        "library_name": "transformers", "pipeline_tag": "text-classification", "tags": ["curator"],
    }  # fmt: skip
    assert ModelCard(text).data.pipeline_tag == "text-classification"
    assert f"11 documents of the mix race, version {mix.version}" in text
    assert mix.lock["ids_sha256"] in text
    assert "12 examples of the target (licence: unknown)" in text
    [pool] = [entry for entry in mix.lock["corpora"] if entry["role"] == "pool"]
    assert f"| shop | unknown | shop.jsonl | {pool['version']} | 11 | 60 |" in text
    for source, label, documents in mix.frame().group_by("source", "label").len().iter_rows():
        assert f"| {source} | {label} | {documents} |" in text
    assert all(f"| {number} | {label} |" in text for number, label in enumerate(mix.lock["labels"]))
    assert all(f"| {stage['name']} |" in text for stage in mix.lock["stages"])
    assert "mix.lock.json" in text
    scores = classifier.trained_on.scores
    assert f"| Macro-F1 | {scores['macro_f1']:.3f} |" in text
    assert f"Measured on {scores['n']} dev documents" in text
    good = scores["per_label"]["good"]
    assert f"| good | {good['precision']:.3f} | {good['recall']:.3f} | {good['f1']:.3f} | {good['support']} |" in text
    assert "| max\\_length | 16 |" in text
    assert "It reads the first 16 tokens" in text
    assert "not looked at" in text


def test_the_card_of_a_model_without_dev_has_no_scores(ws, recipe):  # noqa: F811
    few = recipe.model_copy(update={"task": recipe.task.model_copy(update={"shots": 4})})
    ws.train(few)
    text = (ws.root / "models" / "race" / "README.md").read_text("utf8")
    assert "There was no dev set: nothing was measured." in text
    assert "somewhat too good" not in text


@pytest.mark.parametrize(
    ("pool", "target", "found"),
    [("CC-BY-4.0", None, "cc-by-4.0"), ("CC-BY-4.0", "CC-BY-4.0", "cc-by-4.0"), ("CC-BY-4.0", "MIT", None),
     (None, "MIT", None), ("unknown", None, None)],
)  # fmt: skip
def test_the_licence_is_named_where_there_is_one(ws, recipe, tmp_path, pool, target, found):  # noqa: F811
    if target:
        ws.add("race_target", tmp_path / "target.jsonl", licence=target)
    if pool:
        ws.add("shop", tmp_path / "shop.jsonl", licence=pool)
    ws.train(recipe)
    text = (ws.root / "models" / "race" / "README.md").read_text("utf8")
    assert front_of(text).get("license") == found
    assert f"| shop | {pool or 'unknown'} |" in text
    assert f"(licence: {target or 'unknown'})" in text


def test_the_base_model_is_named_where_the_hub_has_it(ws, model, recipe, tmp_path):  # noqa: F811
    from curator.models.card import card

    classifier = Classifier.load(model)
    for name, base in (("embedded", "sentence-transformers/all-MiniLM-L6-v2"), ("google/bert_x", "google/bert_x")):
        settings = classifier.settings.model_copy(update={"model": name})
        text = card(replace(classifier, settings=settings), ws.mix("race"))
        assert (front_of(text)["base_model"], front_of(text)["base_model_relation"]) == (base, "finetune")
    assert str(tmp_path) not in (model / "README.md").read_text("utf8")  # where it was is nobody's business


def test_what_a_person_named_renders_as_itself(ws, recipe, tmp_path):  # noqa: F811
    evil = "<b>|`x`[a](b)\n# h\n---"
    for name in ("target", "test", "shop"):
        rows = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        told = [{**row, "label": evil if row["label"] == "bad" else "good", "source": evil} for row in rows]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told))
    ws.train(recipe)
    text = (ws.root / "models" / "race" / "README.md").read_text("utf8")
    assert "<b>" not in text
    assert "&lt;b&gt;\\|\\`x\\`\\[a\\](b) \\# h ---" in text
    outside = re.sub(r"(?s)```.*?```", "", text)
    assert sum(line.startswith("#") for line in outside.splitlines()) == 10  # the headings of the card
    assert front_of(text)["library_name"] == "transformers"


def test_the_code_of_the_card_runs(model, monkeypatch):
    code = re.search(r"```python\n(.*?)```", (model / "README.md").read_text("utf8"), re.DOTALL)[1]
    monkeypatch.chdir(model)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "README.md", "exec"), {})
    [answer] = eval(printed.getvalue())
    probabilities = Classifier.load(model).predict(["a text"])[0]
    assert answer["label"] == Classifier.load(model).labels[probabilities.argmax()]
    assert answer["score"] == pytest.approx(probabilities.max(), abs=1e-3)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft's
def test_the_card_of_an_adapter_is_ours_and_its_code_runs(ws, recipe, monkeypatch):  # noqa: F811
    pytest.importorskip("peft", reason="adapters need the extra peft")
    ws.train(recipe.model_copy(update={"train": recipe.train.model_copy(update={"adapter": "lora"})}))
    model = ws.root / "models" / "race"
    text = (model / "README.md").read_text("utf8")
    assert front_of(text)["library_name"] == "peft"
    assert Classifier.load(model).base in text
    ws.train(recipe.model_copy(update={"train": recipe.train.model_copy(update={"adapter": "lora", "steps": 2})}))
    text = (model / "README.md").read_text("utf8")
    assert text.count("\n---\n") == 1  # nothing of peft's own card
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    monkeypatch.chdir(model)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "README.md", "exec"), {})
    found = np.array(json.loads(re.search(r"\[\[(.*?)\]\]", printed.getvalue())[0]))
    assert found == pytest.approx(Classifier.load(model).predict(["a text"]), abs=1e-3)


# The command line


@pytest.fixture
def run(ws, model, toy, monkeypatch, capsys):
    """``curator predict race …`` with the toy encoder. Returns exit code, standard output and standard error."""
    monkeypatch.setattr(remembered, "load", lambda _: toy)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)

    def command(*words, given=b""):
        monkeypatch.setattr("sys.argv", ["curator", "-w", str(ws.root), "predict", "race", *words])
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def test_the_command_shows_each_document_with_its_neighbours(run, ws):
    expected = ws.predict("race", asked(["shop good words", "desk bad"]), explain=2)
    given = b"shop good words\n\ndesk bad\r\n"
    lines = run("--explain", "2", given=given)[1].splitlines()
    told = [[], []]
    for number, line in enumerate(lines):
        told[number // 4].append(line)
    for row, (head, text, *near) in zip(expected.iter_rows(named=True), told, strict=True):
        assert head == f"{row['label']}  {row['probability']:.3f}  {row['id']}"
        assert text == f"  {row['text']}"
        for one, line in zip(row["neighbours"], near, strict=True):
            words = [f"{one['similarity']:.3f}", one["label"], f"{one['corpus']}:{one['id']}", one["text"]]
            assert re.split(r"  +", line.strip()) == words
    rows = json.loads(run("--explain", "2", "--json", given=given)[1])["rows"]
    assert pl.DataFrame(rows, expected.schema).equals(expected)


def test_lines_that_are_no_utf8_are_set_aside(run):
    _, out, err = run(given=b"good\n\xff\xfe\nbad\n")
    assert "1 lines of standard input are no UTF-8 and were set aside, the first of them line 2" in err
    assert [line.split()[-1] for line in out.splitlines()] == ["text", "good", "bad"]


def test_an_empty_standard_input_is_said(run):
    code, _, err = run(given=b"")
    assert code == 0
    assert "no documents: nothing was predicted" in err


def test_no_neighbours_is_a_usage_error(run):
    assert run("--explain", "0", given=b"good\n")[::2] == (
        2, "error: explain = 0: how many documents to show beside each, at least 1\n"
    )  # fmt: skip
