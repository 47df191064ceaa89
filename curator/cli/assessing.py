"""The command that says what a model is worth."""

from pathlib import Path
from typing import Annotated

import typer

from curator.cli.app import Json, app, open_workspace
from curator.cli.terminal import out, print_json, print_table
from curator.errors import UsageError
from curator.files import write_text


@app.command()
def assess(
    model: Annotated[Path, typer.Argument(help="A model's directory, or its name in the workspace.")],
    file: Annotated[Path, typer.Argument(help="A file of labelled documents that the model was not trained on.")],
    text: Annotated[str | None, typer.Option(help="Column with the text.")] = None,
    label: Annotated[str | None, typer.Option(help="Column with the label.")] = None,
    by: Annotated[list[str] | None, typer.Option(help="A column: scores for each of its values. Repeatable.")] = None,
    out_of_domain: Annotated[
        Path | None, typer.Option(help="A file of other documents: is the model less sure there?")
    ] = None,
    robustness: Annotated[bool, typer.Option(help="Predict again for changed texts, eight times.")] = True,
    typos: Annotated[float, typer.Option(help="Typos per letter.")] = 0.05,
    words: Annotated[float, typer.Option(help="Share of the words dropped.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    resamples: Annotated[int, typer.Option(help="Draws of the documents, for the intervals.")] = 2000,
    report: Annotated[Path | None, typer.Option(help="Where to write the tables (.md).")] = None,
    as_json: Json = False,
) -> None:
    """How good a model is on labelled documents, whether its probabilities mean what they say, and how robust it is."""
    if report is not None and report.suffix != ".md":
        raise UsageError(f"{report}: an assessment is written as .md")
    from curator import assessment  # transformers takes seconds to import

    with open_workspace() as ws:
        found = ws.assess(
            model, file, text=text, label=label, by=by or (), out_of_domain=out_of_domain, robustness=robustness,
            typos=typos, words=words, seed=seed, resamples=resamples,
        )  # fmt: skip
        if report is not None:
            write_text(report, assessment.markdown(found, f"{model.name} on {file.name}"))
        if as_json:
            print_json(found.frame(), ws.last_report)
            return
        for section in assessment.sections(found):
            out.print(section.title, style="bold", highlight=False)
            if section.note:
                out.print(section.note, markup=False, highlight=False, soft_wrap=True)
            if len(section.frame):
                print_table(section.frame)
            out.print()
