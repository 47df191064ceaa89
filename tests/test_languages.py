"""languages(…): sentences written here in eleven languages, and what has no language."""

import polars as pl
import pytest

from curator.errors import QueryError
from curator.functions import languages
from curator.relation import Relation

SENTENCES = {
    "en": ["My card was refused at the till this morning.", "Nobody has answered the letter I sent last week."],
    "de": ["Meine Karte wurde heute Morgen an der Kasse abgelehnt.", "Wie lange dauert eine Überweisung ins Ausland?"],
    "fr": ["Ma carte a été refusée à la caisse ce matin.", "Personne n'a répondu à ma lettre de la semaine dernière."],
    "es": ["Mi tarjeta fue rechazada en la caja esta mañana.", "Nadie ha contestado la carta que envié ayer."],
    "it": ["La mia carta è stata rifiutata alla cassa stamattina.", "Nessuno ha risposto alla lettera che ho spedito."],
    "nl": [
        "Mijn kaart werd vanochtend bij de kassa geweigerd.",
        "Niemand heeft mijn brief van vorige week beantwoord.",
    ],
    "pl": [
        "Moja karta została dziś rano odrzucona przy kasie.",
        "Nikt nie odpowiedział na mój list z zeszłego tygodnia.",
    ],
    "ru": ["Сегодня утром мою карту не приняли на кассе.", "Никто не ответил на письмо, которое я отправил."],
    "zh": ["我的卡今天早上在收银台被拒绝了。", "上周我寄出的信没有人回复。"],
    "ja": ["今朝、レジでカードが使えませんでした。", "先週送った手紙に誰も返事をくれません。"],
    "ar": ["رفضت بطاقتي عند الدفع هذا الصباح.", "لم يرد أحد على الرسالة التي أرسلتها الأسبوع الماضي."],
}


def named(texts, **columns):
    frame = pl.DataFrame(
        {"id": [str(i) for i in range(len(texts))], "text": pl.Series(texts, dtype=pl.String), **columns},
        schema_overrides={"id": pl.String},
    )
    return pl.DataFrame(languages(Relation(frame)))


def test_labelled_sentences():
    pairs = [(language, text) for language, texts in SENTENCES.items() for text in texts]
    found = named([text for _, text in pairs])
    assert found["language"].to_list() == [language for language, _ in pairs]
    assert found["probability"].is_between(0.1, 1).all()


def test_rows_in_order_and_nothing_where_there_is_no_letter():
    found = named([None, "", "12:30 !?", "Where is the letter that I sent?"], corpus=["b", "a", "b", "a"])
    assert found.columns == ["corpus", "id", "language", "probability"]
    assert found["corpus"].to_list() == ["b", "a", "b", "a"]
    assert found["language"].to_list() == [None, None, None, "en"]
    assert found["probability"].is_null().to_list() == [True, True, True, False]
    assert named([]).schema == {"id": pl.String, "language": pl.String, "probability": pl.Float64}


def test_a_long_text_is_surer_than_a_short_one():
    short, long = named(["no", " ".join(SENTENCES["es"] * 5)])["probability"]
    assert short < 0.5 < long


def test_what_is_needed_is_said():
    with pytest.raises(QueryError, match="needs a column 'text'"):
        languages(Relation(pl.DataFrame({"id": ["a"]})))
    with pytest.raises(QueryError, match="is Int64, not strings"):
        languages(Relation(pl.DataFrame({"id": ["a"], "text": [1]})))
