"""All documents of an origin at once, for what is read to be judged and not kept."""

import warnings
from collections.abc import Sequence

import polars as pl

from curator.documents.ingest import read
from curator.documents.records import Columns, Origin, Reject
from curator.documents.values import texts_of
from curator.errors import CuratorWarning, UnknownNameError


class _Hoped(Columns):
    """Columns of which only the text must be there."""

    @property
    def required(self) -> dict[str, str]:
        return {"text": self.roles["text"]}


def unread(rejects: Sequence[Reject]) -> str:
    """How many rows could not be read, and where the first is and why; there is at least one."""
    first = rejects[0]
    place = first.file if first.line is None else f"{first.file}:{first.line}"
    return f"{len(rejects):,} rows could not be read; the first: {place}: {first.reason}"


def whole(
    origin: Origin,
    *,
    text: str | None = None,
    label: str | None = None,
    others: Sequence[str] = (),
    needs_label: bool = False,
) -> tuple[pl.DataFrame, int]:
    """The documents, ``id, text, label`` and ``others`` as strings, and how many rows could not be read.

    ``text`` and ``label`` name the columns to use, without them those of that name. A warning tells the first row that
    could not be read. Raises as ``read``, DataError where the column with the label is needed and is not there, and
    UnknownNameError for one of the others that no document has.
    """
    columns = Columns(text=text, label=label or "label") if needs_label else _Hoped(text=text, label=label)
    batches = list(read(origin, corpus="input", columns=columns))
    rejected = [reject for batch in batches for reject in batch.rejects]
    if rejected:
        warnings.warn(unread(rejected), CuratorWarning, stacklevel=3)
    names = list(dict.fromkeys(("id", "text", "label", *others)))
    frames = [batch.frame for batch in batches if len(batch.frame)]
    there = dict.fromkeys(name for frame in frames for name in frame.columns if name != "_row")
    for name in others if frames else ():
        if name not in there:
            raise UnknownNameError("column", name, there)
    parts = [frame.select(texts_of(frame[name]) for name in names if name in frame.columns) for frame in frames]
    return pl.concat([pl.DataFrame(schema=dict.fromkeys(names, pl.String)), *parts], how="diagonal"), len(rejected)
