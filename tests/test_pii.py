"""What identifies a person, against numbers that its issuers publish as examples, and against numbers one digit off."""

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curator.errors import QueryError
from curator.functions import FUNCTIONS, masked, pii
from curator.functions._pii import KINDS, Finder
from curator.nearest import Tools, rewrite
from curator.relation import Relation
from curator.session import Session

# Examples of the IBAN registry, of card networks' test environments, of the authorities (or of python-stdnum, where
# an authority has none), and of numbering plans: Ofcom's and NANPA's for fiction, and libphonenumber's own.
PUBLISHED = {
    "email": [("jane.doe+news@mail.example.co.uk", None), ("o'hara@example.org", None), ("x@münchen.example", None)],
    "iban": [
        ("GB29 NWBK 6016 1331 9268 19", "GB"),
        ("DE89370400440532013000", "DE"),
        ("FR14 2004 1010 0505 0001 3M02 606", "FR"),
        ("ES9121000418450200051332", "ES"),
        ("NO9386011117947", "NO"),
        ("MT84MALT011000012345MTLCAST001S", "MT"),
        ("br1800360305000010009795493c1", "BR"),
    ],
    "card": [
        ("4111 1111 1111 1111", None),
        ("4222222222222", None),
        ("5555-5555-5555-4444", None),
        ("2223003122003222", None),
        ("3782 822463 10005", None),
        ("6011111111111117", None),
        ("3056 930902 5904", None),
        ("3566002020360505", None),
        ("6200 0000 0000 0005", None),
    ],
    "national_id": [
        ("536-90-4399", "US"),
        ("912-90-3456", "US"),
        ("943 476 5919", "GB"),
        ("AB 12 34 56 C", "GB"),
        ("36 574 261 809", "DE"),
        ("86095742719", "DE"),
        ("2 95 10 99 126 111 93", "FR"),
        ("12345678Z", "ES"),
        ("54362315-k", "ES"),
        ("X5253868R", "ES"),
        ("9999 4105 7058", "IN"),
        ("ACUPA7085R", "IN"),
        ("11010519491231002X", "CN"),
        ("111.444.777-35", "BR"),
    ],
    "ip": [("93.184.216.34", None), ("2001:4860:4860::8888", None)],
    "phone": [
        ("020 7946 0958", "GB"),
        ("(212) 555-0142", "US"),
        ("+1 650 253 0000", "US"),
        ("+41 44 668 1800", "CH"),
        ("+86 10 8277 7777", "CN"),
    ],
}
ALL = [(kind, number, region) for kind, numbers in PUBLISHED.items() for number, region in numbers]
CHECKED = [
    number for kind, number, region in ALL
    if kind in ("iban", "card", "national_id") and number not in ("AB 12 34 56 C", "ACUPA7085R")
    and region != "US"
]  # fmt: skip
HARMLESS = [
    "2024-05-17 07:13:00, 17.05.2024 and 20240517071300",
    "1,234,567.89 or 3.14159265358979",
    "ISBN 978-3-16-148410-0, doi:10.1000/182",
    "thanks @user and user @ home, a@b, @media(print), x = y@z",
    "version v93.184.216.34, section 4.1.2.3, 127.0.0.1, 192.168.0.1, 300.1.2.3, 1.2.3.4.5",
    "std::vector and 12:30:45 and 2001:db8::1",
    "078-05-1120 was on a wallet's card, 666-12-1234 and 987-65-4321 never were",
    "QQ 12 34 56 C is what the forms print",
    "SR141716A blocks CB1, EC 4.3.1.17 and 3.4.21.5 are enzymes, 2.6.12.4 is a kernel",
    "11144477735 with no word before it",
    "row 1234567890123456 of 6200000000000004",
    "0000-0002-1825-0097",
    "٤١١١",
]


def texts(*values: str | None) -> Relation:
    return Relation(
        pl.DataFrame({"id": [str(i) for i in range(len(values))], "text": values}, {"id": pl.String, "text": pl.String})
    )


def findings(text: str, **arguments) -> list[tuple]:
    return [(row["kind"], row["region"], row["found"]) for row in pii(texts(text), **arguments).to_pylist()]


@pytest.mark.parametrize("around", ["{}", "It is {}.", "a ({}), b", "卡号{}，", "is:{}\nand 12 of them", "\t{};"])
@pytest.mark.parametrize(("kind", "number", "region"), ALL)
def test_published_numbers_are_found(kind, number, region, around):
    assert findings(around.format(number)) == [(kind, region, number)]


@pytest.mark.parametrize("number", CHECKED)
def test_a_wrong_digit_is_noticed(number):
    kinds = "iban, card, national_id"
    at = [i for i, character in enumerate(number) if character.isdigit()]
    wrong = [number[:i] + digit + number[i + 1 :] for i in at for digit in "0123456789" if digit != number[i]]
    (here,) = findings(number, kinds=kinds)
    assert [text for text in wrong if here[:2] in [one[:2] for one in findings(text, kinds=kinds)]] == []


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_it_is_left_alone(text):
    assert findings(text) == []


@pytest.mark.parametrize("number", [number for kind, number, _ in ALL if kind in ("iban", "card", "national_id", "ip")])
def test_a_part_of_a_longer_number_is_none(number):
    longer = [f"9{number}", f"{number}7", f"x{number}", f"{number}z"]
    assert [text for text in longer if (number,) in [one[2:] for one in findings(text)]] == []


WORDS = st.text(alphabet="abc xyz\n,。é", max_size=12).map(lambda text: f" {text} ")


@given(st.lists(st.tuples(WORDS, st.sampled_from(ALL)), max_size=6), WORDS)
def test_masking_takes_out_what_was_put_in_and_nothing_else(parts, end):
    text = "".join(f"{words}{number}" for words, (_, number, _) in parts) + end
    expected = "".join(f"{words}<{kind.upper()}>" for words, (kind, _, _) in parts) + end
    found = pii(texts(text)).to_pylist()
    assert [text[row["start"] - 1 :][: row["length"]] for row in found] == [number for _, (_, number, _) in parts]
    row = masked(texts(text)).to_pylist()[0]
    assert (row["text"], row["found"]) == (expected, len(parts))


@given(st.text(alphabet="0123456789 -.:/()+@abAB<\n٤", max_size=60))
@example("a@b.ab")
def test_no_text_is_passed_over_that_holds_something(text):
    finder = Finder(KINDS, ("US", "GB", "DE"))
    if finder.find(text):
        assert finder.hints(pl.Series([text])).to_list() == [True]


@pytest.mark.parametrize(
    ("text", "number", "region"),
    [
        ("my CPF: 11144477735.", "11144477735", "BR"),
        ("NHS no. 9434765919", "9434765919", "GB"),
        ("National Insurance number AB123456C", "AB123456C", "GB"),
        ("NI: AB123456C", "AB123456C", "GB"),
        ("Aadhaar number 999941057058", "999941057058", "IN"),
    ],
)
def test_a_word_before_a_number_tells_what_it_is(text, number, region):
    assert findings(text, kinds="national_id") == [("national_id", region, number)]
    assert findings(number, kinds="national_id") == []


@pytest.mark.parametrize(
    ("text", "masked_text"),
    [
        ("_bob@example.com_ or bob@example.com--thanks", "_<EMAIL>_ or <EMAIL>--thanks"),
        (
            "请发邮件至bob@example.com我们会在收到后的两个工作日内尽快给您答复谢谢您的支持",
            "请发邮件至<EMAIL>我们会在收到后的两个工作日内尽快给您答复谢谢您的支持",
        ),
        ("müller@example.de", "<EMAIL>"),
        ("4111 1111 1111 1111 123", "<CARD> 123"),
        ("4111-1111-1111-1111-123, 4111 1111 1111 1111 2027", "<CARD>-123, <CARD> 2027"),
        ("4111\u00a01111\u00a01111\u00a01111", "<CARD>"),
        ("GB29\u00a0NWBK\u00a06016\u00a01331\u00a09268\u00a019", "<IBAN>"),
        ("64 bytes from 2607:f8b0:4005:805::200e: icmp_seq=1", "64 bytes from <IP>: icmp_seq=1"),
        ("2001:4860:4860:0:0:0:0:8888: ok, 2001:4860::", "<IP>: ok, <IP>"),
    ],
)
def test_what_stands_beside_it_does_not_hide_it(text, masked_text):
    assert masked(texts(text)).to_pylist()[0]["text"] == masked_text


def test_each_kind_alone_finds_what_all_find():
    odd = ["FR14 20041 01005 0500013M026 06", "GB29 NWBK 6016 1331 9268 19", *[number for _, number, _ in ALL]]
    for text in odd:
        (kind, region, number) = findings(text)[0]
        assert findings(text, kinds=kind) == [(kind, region, number)]


def test_countries_kinds_and_counts():
    assert findings("01 23 45 67 89") == []
    assert findings("01 23 45 67 89", regions="FR") == [("phone", "FR", "01 23 45 67 89")]
    assert findings("020 7946 0958 or +44 20 7946 0958", regions="") == [("phone", "GB", "+44 20 7946 0958")]
    assert findings("a@example.org 4111111111111111", kinds="card") == [("card", None, "4111111111111111")]
    got = masked(texts("a@b.org, c@d.org, 020 7946 0958", None, "none")).to_pylist()
    assert [(row["id"], row["found"], row["kinds"], row["counts"], row["text"]) for row in got] == [
        ("0", 3, "email, phone", "email 2, phone 1", "<EMAIL>, <EMAIL>, <PHONE>"),
        ("1", 0, None, None, None),
        ("2", 0, None, None, "none"),
    ]


def test_long_texts_take_no_longer_than_short_ones():
    """Patterns that try every place again would not come to an end here."""
    for unit in ("a", "1", "1 ", "a.", "1.", "@", "a@", "A1", "2001:", "-"):
        masked(texts(unit * 100_000), kinds="email, iban, card, national_id, ip")


def test_in_sql():
    relation = texts("a@b.org and c@d.org", "020 7946 0958")
    query = rewrite(Session(), "SELECT kind, count(*) AS n FROM pii('t') GROUP BY kind ORDER BY kind", {},
                    Tools({"t": relation}, FUNCTIONS))  # fmt: skip
    assert query.fetch().to_pylist() == [{"kind": "email", "n": 2}, {"kind": "phone", "n": 1}]


@pytest.mark.parametrize("function", [pii, masked])
def test_errors_name_what_is_wrong(function):
    name = function.__name__
    with pytest.raises(QueryError, match=f"{name}: kinds names 'emails'; it may name card, email"):
        function(texts("a"), kinds="emails")
    with pytest.raises(QueryError, match=f"{name}: kinds is ''; name some"):
        function(texts("a"), kinds="")
    with pytest.raises(QueryError, match=f"{name}: regions names 'UK'; it may name .*GB"):
        function(texts("a"), regions="UK")
    with pytest.raises(QueryError, match=f"{name}: regions is None"):
        function(texts("a"), regions=None)
    with pytest.raises(QueryError, match=f"{name} needs a column 'text'"):
        function(Relation(pl.DataFrame({"id": ["1"]})))
    with pytest.raises(QueryError, match=f"{name} needs a column 'id'"):
        function(Relation(pl.DataFrame({"text": ["1"]})))
