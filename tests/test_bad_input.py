"""What is wrong with a file costs the lines that are wrong, and no other file, query or corpus."""

import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curator import Workspace
from curator.catalogue.columns import common
from curator.documents import records, tables
from curator.errors import DataError


@pytest.fixture
def ws(tmp_path, toy):
    return Workspace(tmp_path / "ws", encoder=toy)


def jsonl(folder, **files):
    """A folder of JSONL files, each of rows."""
    folder.mkdir()
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize(
    ("one", "other", "kind", "found"),
    [
        (5, "big", "String", ["5", "big"]),
        (5, 2.5, "Float64", [5.0, 2.5]),
        (True, 2, "String", ["true", "2"]),
        (1.0, "x", "String", ["1", "x"]),
        (None, "x", "String", [None, "x"]),
        (None, None, "String", [None, None]),
        (5, {"w": 1}, "String", ["5", '{"w": 1}']),
        ([1], 2, "String", ["[1]", "2"]),
        ([1], ["x"], "String", ["[1]", '["x"]']),
        ([1], [], "List(Int64)", [[1], []]),
        ([1], [2.5], "List(Float64)", [[1.0], [2.5]]),
        ({"w": 1}, {"h": "x"}, "Struct({'w': Int64, 'h': String})", [{"w": 1, "h": None}, {"w": None, "h": "x"}]),
        ({"w": 1}, {"w": "y"}, "String", ['{"w": 1}', '{"w": "y"}']),
        ({"w": {"a": 1}}, {"w": None, "b": 2.5}, None, [{"w": {"a": 1}, "b": None}, {"w": None, "b": 2.5}]),
        (None, {"w": 1}, "Struct({'w': Int64})", [None, {"w": 1}]),
    ],
)
def test_a_column_of_two_types(ws, tmp_path, one, other, kind, found):
    data = jsonl(
        tmp_path / "data",
        a=[{"text": "a text", "x": one}],
        b=[{"text": "b text", "x": other}],
        c=[{"text": "c text"}],
    )
    ws.add("mixed", data)
    rows = ws.sql("SELECT x FROM mixed ORDER BY text")
    assert rows["x"].to_list() == [*found, None]
    assert kind in (None, str(rows.schema["x"]))
    assert ws.sql("SELECT id FROM mixed WHERE text = 'c text'").height == 1
    assert ws.search("mixed", "text", k=3).height == 3


def test_the_common_type_of_columns_holds_every_value():
    kinds = [pl.Int8, pl.UInt64, pl.Float32, pl.Boolean, pl.Date, pl.Datetime("us"), pl.List(pl.Int8), pl.Null]
    for one in kinds:
        for other in kinds:
            [found] = common([pl.Schema({"x": one}), pl.Schema({"x": other})]).dtypes()
            for kind in (one, other):
                if found != pl.String and kind not in (pl.Null, found):
                    assert kind.is_numeric()
                    assert found.is_numeric()
            assert found != pl.String or one != other or one == pl.Null


def test_ids_of_mixed_types_and_a_label_that_is_absent(ws, tmp_path):
    pl.DataFrame({"text": ["a", "b"], "id": [1, 2], "label": ["x", "y"]}).write_parquet(tmp_path / "1.parquet")
    pl.DataFrame({"text": ["c", "d"], "id": ["2", "z"]}).write_parquet(tmp_path / "2.parquet")
    pl.DataFrame({"text": ["e"], "id": [3.0], "label": [7]}).write_parquet(tmp_path / "3.parquet")
    ws.add("ids", tmp_path / "*.parquet", label="label")
    assert ws.sql("SELECT id, text, label FROM ids ORDER BY id").rows() == [
        ("1", "a", "x"), ("2", "b", "y"), ("3", "e", "7"), ("z", "d", None),
    ]  # fmt: skip
    [reject] = ws.rejects("ids").to_dicts()
    assert (reject["line"], reject["reason"]) == (1, f"duplicate id '2', first at {tmp_path}/1.parquet:2")


def test_nul_bytes_are_characters_like_others(ws, tmp_path):
    text = "before\0after"
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text, "id": "a"}) + "\n")
    (tmp_path / "b.csv").write_text(f'id,text\nb,"{text}"\n')
    pl.DataFrame({"id": ["c"], "text": [text]}).write_parquet(tmp_path / "c.parquet")
    (tmp_path / "raw.jsonl").write_bytes(b'{"text": "x\0y"}\n{"text": "fine", "id": "d"}\n')
    ws.add("nul", [tmp_path / name for name in ("a.jsonl", "b.csv", "c.parquet", "raw.jsonl")])
    assert ws.sql("SELECT id, text FROM nul ORDER BY id").rows() == [(x, text) for x in "abc"] + [("d", "fine")]
    [reject] = ws.rejects("nul").to_dicts()
    assert reject["line"] == 1
    assert reject["reason"].startswith("malformed JSON: Invalid control character")
    assert ws.search("nul", "before", k=1).height == 1


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_file_in_utf_16_is_told(ws, tmp_path, ending):
    content = '{"text": "ä"}\n' if ending == "jsonl" else "text\nä\n"
    (tmp_path / f"x.{ending}").write_bytes(content.encode("utf-16"))
    with pytest.raises(DataError, match=f"x.{ending}:1 .*UTF-16: convert it"):
        ws.add("x", tmp_path / f"x.{ending}")


def test_latin_1_costs_its_lines(ws, tmp_path):
    (tmp_path / "x.csv").write_bytes("text\nschön\nplain\n".encode("latin-1"))
    assert ws.add("x", tmp_path / "x.csv").documents == 1
    assert ws.rejects("x").select("line", "reason").rows() == [(2, "bad UTF-8 at byte 4 of the record")]


def test_a_bad_line_far_down(ws, tmp_path, monkeypatch):
    """Its number is that of the file, whichever batch it is in, and the lines around it are there."""
    monkeypatch.setattr(records, "ROWS", 1_000)
    rows = [json.dumps({"text": f"text {i}"}) for i in range(30_000)]
    rows[29_998] = '{"text": '
    (tmp_path / "x.jsonl").write_text("\n".join(rows))
    ws.add("x", tmp_path / "x.jsonl")
    assert ws.rejects("x").select("line").rows() == [(29_999,)]
    assert ws.sql("SELECT id FROM x WHERE text IN ('text 29997', 'text 29999')")["id"].sort().to_list() == [
        "x.jsonl:29998", "x.jsonl:30000",
    ]  # fmt: skip


def test_hosts_of_empty_texts_are_counted(ws, tmp_path):
    (tmp_path / "x.jsonl").write_text('{"text": ""}\n' * 70_000 + '{"text": "one"}\n')
    added = ws.add("x", tmp_path / "x.jsonl")
    assert (added.documents, added.rejects) == (1, 70_000)
    assert ws.sql("SELECT count(*) AS n, max(line) AS last FROM rejects('x')").rows() == [(70_000, 70_000)]


def test_vectors_that_are_no_numbers(ws, tmp_path):
    vectors = [[1.0, 0.0], [math.nan, 1.0], [math.inf, 1.0], None, [0.0, 1.0]]
    frame = pl.DataFrame({"text": [f"text {i}" for i in range(5)], "v": vectors})
    frame.write_parquet(tmp_path / "x.parquet")
    assert ws.add("x", tmp_path / "x.parquet", vectors="v").documents == 2
    assert ws.rejects("x").select("file", "line", "reason").rows() == [
        (str(tmp_path / "x.parquet"), line, "vector with NaN or infinity") for line in (2, 3, 4)
    ]
    found = ws.sql("SELECT text, embedding FROM x ORDER BY text")
    np.testing.assert_array_equal(found["embedding"].to_numpy(), [[1, 0], [0, 1]])
    assert found["text"].to_list() == ["text 0", "text 4"]


def test_a_file_that_breaks_off_beside_whole_ones(ws, tmp_path, monkeypatch):
    for module in (records, tables):
        monkeypatch.setattr(module, "ROWS", 100)
    pl.DataFrame({"text": [f"whole {i}" for i in range(300)]}).write_parquet(tmp_path / "a.parquet")
    raw = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(raw[: len(raw) // 2])
    (tmp_path / "c.jsonl").write_text('{"text": "last"}\n')
    added = ws.add("x", [tmp_path / name for name in ("a.parquet", "b.parquet", "c.jsonl")])
    assert added.documents == 301
    [reject] = ws.rejects("x").to_dicts()
    assert reject["file"] == str(tmp_path / "b.parquet")
    assert "cannot be read as Parquet" in reject["reason"]


letters = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
values = {
    "integers": st.integers(-(2**63), 2**63 - 1),
    "numbers": st.floats(allow_nan=False, allow_infinity=False),
    "flags": st.booleans(),
    "words": letters,
    "lists": st.lists(st.integers(-9, 9), max_size=3),
    "pairs": st.fixed_dictionaries({"a": st.integers(0, 9), "b": letters}),
}
frames = st.integers(1, 9).flatmap(
    lambda n: st.fixed_dictionaries(
        {
            "text": st.lists(letters.filter(str.strip), min_size=n, max_size=n),
            **{f"{k}_x": st.lists(st.none() | v, min_size=n, max_size=n) for k, v in values.items()},
        }
    )
)
TYPES = {
    "integers_x": pl.Int64, "numbers_x": pl.Float64, "flags_x": pl.Boolean, "words_x": pl.String,
    "lists_x": pl.List(pl.Int64), "pairs_x": pl.Struct({"a": pl.Int64, "b": pl.String}), "text": pl.String,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(columns=frames)
def test_any_frame_comes_back_the_same_whatever_its_batches(kind, columns, tmp_path_factory, toy):
    folder = tmp_path_factory.mktemp("round")
    frame = pl.DataFrame(columns, schema=TYPES)
    if kind == "parquet":
        frame.write_parquet(folder / "x.parquet")
    else:
        rows = [{key: value for key, value in row.items() if value is not None} for row in frame.to_dicts()]
        (folder / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        for module in (records, tables):
            patch.setattr(module, "ROWS", 2)
        ws = Workspace(folder / "ws", encoder=toy)
        ws.add("x", folder / f"x.{kind}")
    found = ws.catalogue.corpus("x").frame()
    for name in TYPES:
        assert (found[name].to_list() if name in found.columns else [None] * len(frame)) == frame[name].to_list(), name
