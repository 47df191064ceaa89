"""Line formats: bytes → lines → rows. A bad line is one reject; a file that breaks off keeps what came before."""

import csv
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
import pyarrow as pa

from curator.documents.cells import is_to_label, unguarded
from curator.documents.records import START, Chunk, Columns, Mark, Reject, Rows, no_documents, unique
from curator.documents.values import column, is_several
from curator.errors import DataError

PIECE = 1 << 20  # bytes read at a time
RECORD = 256 << 20  # bytes after which a quoted CSV field that spans lines counts as never closed
KEYS = 1_000  # different keys that the objects of one JSONL batch may have
BOM = b"\xef\xbb\xbf"
CODECS = {".gz": "gzip", ".zst": "zstd"}

Line: TypeAlias = tuple[bytes, int]  # without its end, and the byte of the content at which the next one begins
Record: TypeAlias = tuple[int, Any, str, bytes, tuple[int, int]]
"""Line, value, the reason if it is rejected, the bytes it came from; lines and bytes that are read once it is."""


def json_header(path: Path) -> Iterator[Iterable[str]]:
    """The keys of each object of a JSONL file, as far as it can be read."""
    return _until_broken(_json_records(path, {}, START))


def csv_header(path: Path, delimiter: str) -> Iterator[Iterable[str]]:
    """The names in the first line of a CSV file, if that can be read."""
    delimiter = _delimiter(path, delimiter)
    return _until_broken(islice(_csv_records(byte_lines(path), delimiter), 1))


def json_chunks(path: Path, columns: Columns, start: Mark = START) -> Iterator[Chunk]:
    """The rows of a JSONL file: one object a line, blank lines skipped."""
    return _collect(str(path), _json_records(path, columns.roles, start), lambda rows: _json_frame(path, rows), start)


def csv_chunks(path: Path, delimiter: str, start: Mark = START) -> Iterator[Chunk]:
    """The rows of a CSV file with a header line, quoted as RFC 4180 says; every value is a string.

    A quote that is never closed costs its own line only: reading goes on with the next one. Of a file that
    ``curator label`` wrote the cells are as they were before it guarded them, also after a spreadsheet that puts
    semicolons between them.
    """
    delimiter = _delimiter(path, delimiter)
    records = _csv_records(byte_lines(path), delimiter)
    try:
        line, header, reason, _, read = next(records, (1, [], "the file is empty", b"", (0, 0)))
    except OSError as error:
        line, header, reason, read = 1, [], str(error), (0, 0)
    if reason:
        yield no_documents(0, [Reject(str(path), line, f"no header line, so no rows: {reason}")])
        return
    names, renamed = unique(header)
    if start == START:
        start = Mark(0, *read)
    else:
        records = _csv_records(byte_lines(path, start.bytes), delimiter, start.lines, start.bytes)
    yield from _collect(str(path), _of_width(records, len(names)), _csv_frame(names), start, renamed)


def _delimiter(path: Path, usual: str) -> str:
    """The usual one, but a semicolon where a spreadsheet saved a file to be labelled with such."""
    try:
        first = next(byte_lines(path), (b"", 0))[0].decode("utf8", "replace")
    except OSError:  # which reading the rows will tell of
        return usual
    return ";" if is_to_label(name.strip('"\r') for name in first.split(";")) else usual


def byte_lines(path: Path, start: int = 0) -> Iterator[Line]:
    r"""Lines without their ``\n`` or a leading byte order mark, from a byte on; decompressed by suffix.

    Raises OSError where the file cannot be read further; an unfinished line before that place is not given out.
    """
    tail: list[bytes] = []
    end = start
    for number, piece in enumerate(_pieces(path, start)):
        marked = not start and not number and piece.startswith(BOM)
        end += len(BOM) if marked else 0
        head, *rest = (piece.removeprefix(BOM) if marked else piece).split(b"\n")
        tail.append(head)
        if rest:
            for line in (b"".join(tail), *rest[:-1]):
                end += len(line) + 1
                yield line, end
            tail = [rest[-1]]
    last = b"".join(tail)
    if last:
        yield last, end + len(last)


def _pieces(path: Path, done: int) -> Iterator[bytes]:
    codec = CODECS.get(path.suffix.lower())
    with pa.input_stream(str(path), compression=codec) as stream:
        _skip(stream, done)
        try:
            while piece := stream.read(PIECE):
                yield piece
                done += len(piece)
            return
        except OSError as error:
            failure = error
    # The failed read took up to a piece of good bytes with it: get those one by one.
    with pa.input_stream(str(path), compression=codec) as stream:
        _skip(stream, done)
        yield _bytes_to_failure(stream)
    raise failure


def _skip(stream: Any, size: int) -> None:
    """Read past the first bytes of a stream, which has that many."""
    if stream.seekable():
        stream.seek(size)
        return
    while size:
        size -= len(stream.read(min(size, PIECE)))


def _bytes_to_failure(stream: Any) -> bytes:
    found = bytearray()
    try:
        while byte := stream.read(1):
            found += byte
    except OSError:
        pass  # expected, and raised again by the caller
    return bytes(found)


def _collect(
    file: str,
    records: Iterator[Record],
    frame: Callable[[list[Any]], pl.DataFrame],
    start: Mark,
    renamed: tuple[str, ...] = (),
) -> Iterator[Chunk]:
    rows = Rows(file, renamed)
    done, read = start.rows, (start.lines, start.bytes)
    try:
        for line, value, reason, raw, read in records:
            if reason:
                rows.reject(line, reason, raw)
            else:
                rows.add(line, value, len(raw))
            if rows.full:
                done += rows.used
                yield rows.chunk(frame(rows.values), Mark(done, *read))
                rows = Rows(file, renamed)
    except OSError as error:
        rows.break_off(read[0] + 1, error)
    yield rows.chunk(frame(rows.values))


def _until_broken(records: Iterator[Record]) -> Iterator[Iterable[str]]:
    """The names in each good record. What is wrong with the others is said when the rows are read."""
    try:
        for _, names, reason, _, _ in records:
            if not reason:
                yield names
    except OSError:
        return


def _json_records(path: Path, roles: dict[str, str], start: Mark) -> Iterator[Record]:
    for number, (line, end) in enumerate(byte_lines(path, start.bytes), start.lines + 1):
        if line and not line.isspace():
            value, reason = _json_object(line)
            if not reason and (b"[" in line or line.find(b"{", 1) > 0):
                for role, name in roles.items():
                    if type(value.get(name)) in (list, dict) and not is_several(role, value[name]):
                        reason = f"{role} is {_kind(value[name])}, not a single value"
            yield number, value, reason, line, (number, end)


def _json_object(line: bytes) -> tuple[Any, str]:
    """The object on a line, or why it cannot be one."""
    try:
        value = json.loads(line.decode())
        if b"\\u" in line and b"\\ud" in line.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        return None, _not_utf8(line, error, "line")
    except UnicodeEncodeError as error:
        return None, f"a lone surrogate \\u{ord(error.object[error.start]):04x}, which is no character"
    except json.JSONDecodeError as error:
        return None, f"malformed JSON: {error.msg} at character {error.pos + 1}"
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a depth of thousands
        return None, f"JSON beyond reason: {error}"
    return (value, "") if type(value) is dict else (None, f"not a JSON object but {_kind(value)}")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {list: "a list", dict: "an object", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")


def _json_frame(path: Path, rows: list[dict[str, object]]) -> pl.DataFrame:
    names = dict.fromkeys(name for row in rows for name in row)
    if len(names) > KEYS:
        raise DataError(
            f"{path}: {len(names):,} different keys within {len(rows):,} lines, at most {KEYS:,} can be columns; "
            "put the ones that vary into one nested object"
        )
    return pl.DataFrame({name: column(name, [row.get(name) for row in rows]) for name in names})  # keeps a name ""


def _csv_records(lines: Iterator[Line], delimiter: str, done: int = 0, end: int = 0) -> Iterator[Record]:
    """The fields of each record, with the line it begins on. What is no CSV costs one line.

    ``done`` and ``end``: lines and bytes before the first. Raises the process-wide ``csv.field_size_limit`` to 2 GiB
    where it is lower: texts exceed its default of 128 KiB, and putting it back between batches would race with other
    threads.
    """
    csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))
    pending: list[Line] = []  # lines of the record being read
    replay: deque[Line] = deque()  # lines to read again after a record that was none
    while True:
        reader = csv.reader(_feed(lines, replay, pending), delimiter=delimiter, strict=True)
        try:
            for fields in reader:
                raw = pending[0][0] if len(pending) == 1 else b"\n".join(line for line, _ in pending)
                read = done + len(pending), pending[-1][1] if pending else end
                yield done + 1, fields, _bad_utf8(raw), raw, read
                done, end = read
                pending.clear()
            return
        except csv.Error as error:
            raw, end = pending[0]
            yield done + 1, None, f"malformed CSV: {_csv_words(error)}", raw, (done + 1, end)
            done += 1
            replay.extendleft(reversed(pending[1:]))
            pending.clear()


def _feed(lines: Iterator[Line], replay: deque[Line], pending: list[Line]) -> Iterator[str]:
    size = 0
    while (line := replay.popleft() if replay else next(lines, None)) is not None:
        size = size + len(line[0]) if pending else 0
        pending.append(line)
        if size > RECORD:
            raise csv.Error("unexpected end of data")
        yield line[0].decode("utf8", "surrogateescape") + "\n"


def _csv_words(error: csv.Error) -> str:
    message = str(error)
    if "unexpected end of data" in message:
        return "a quote is opened and never closed"
    if "new-line character" in message:
        return "a carriage return inside a field without quotes"
    if "expected after" in message:
        return "text after a closing quote; a quote inside a quoted field is written twice"
    return message


def _bad_utf8(raw: bytes) -> str:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return _not_utf8(raw, error, "record")
    return ""


def _not_utf8(raw: bytes, error: UnicodeDecodeError, what: str) -> str:
    hint = "; the file is UTF-16: convert it to UTF-8" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
    return f"bad UTF-8 at byte {error.start + 1} of the {what}{hint}"


def _of_width(records: Iterator[Record], width: int) -> Iterator[Record]:
    for line, fields, reason, raw, read in records:
        if reason or len(fields) == width:
            yield line, fields, reason, raw, read
        elif fields:
            yield line, None, f"{len(fields)} fields where the header has {width}", raw, read
        elif width == 1:  # the only way to write an empty value in a file of one column
            yield line, [""], "", raw, read


def _csv_frame(names: list[str]) -> Callable[[list[list[str]]], pl.DataFrame]:
    guarded = is_to_label(names)

    def frame(rows: list[list[str]]) -> pl.DataFrame:
        columns = zip(*rows, strict=True) if rows else [()] * len(names)
        series = [pl.Series(name, values, dtype=pl.String) for name, values in zip(names, columns, strict=True)]
        return pl.DataFrame([unguarded(one) for one in series] if guarded else series)

    return frame
