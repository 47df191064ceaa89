"""Reports of a race: one self-contained HTML page, markdown, and rows for the terminal. Pure: a record in, text out.

``html(record)`` opens offline and needs no script; ``markdown(record)`` is what a README quotes;
``side_by_side(found)`` is a page of two races, ``side_by_side_rows(found)`` its rows;
``table(record)`` is the verdict table as plain rows, ``tasks(record)`` that of the tasks of a race with a replay. All
take the figures from ``curator.race``. ``curves_html`` and ``curves_markdown`` are of learning curves, from the records
of their points.
"""

from curator.report.curves import markdown as curves_markdown
from curator.report.markdown import markdown
from curator.report.page import curves as curves_html
from curator.report.page import html
from curator.report.rows import table
from curator.report.side_by_side import page as side_by_side
from curator.report.side_by_side import rows as side_by_side_rows
from curator.report.tasks import rows as tasks

__all__ = ["curves_html", "curves_markdown", "html", "markdown", "side_by_side", "side_by_side_rows", "table", "tasks"]
