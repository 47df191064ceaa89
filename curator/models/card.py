"""The card of a model: what the hub reads, what it was trained on, how well it did on dev, how it is loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curator.markdown import escape, front_matter, table
from curator.mix import Mix
from curator.mix.card import UNKNOWN, composition, facts, hub_licence, hub_licences, languages, sources, stages
from curator.recipe import UNDECIDING, USES, Kind
from curator.training import MIX_LOCK, Classifier, TrainedOn, outputs_of

EMBEDDED = "sentence-transformers/all-MiniLM-L6-v2"  # the hub's name for the weights that come with curator
SCORES: dict[Kind, dict[str, str]] = {
    "single": {"accuracy": "Accuracy", "macro_f1": "Macro-F1", "roc_auc": "ROC AUC, macro", "loss": "Cross-entropy"},
    "multi": {
        "accuracy": "Accuracy, of all labels of a text",
        "macro_f1": "Macro-F1",
        "micro_f1": "Micro-F1",
        "roc_auc": "ROC AUC, macro",
        "loss": "Binary cross-entropy",
    },
    "regression": {
        "spearman": "Spearman correlation",
        "pearson": "Pearson correlation",
        "rmse": "Root mean squared error",
        "mae": "Mean absolute error",
        "loss": "Squared error of standardised values",
    },
}
SAID: dict[Kind, str] = {  # what is done with logits
    "single": ".softmax(1))  # in the order of the labels above",
    "multi": ".sigmoid())  # in the order of the labels above",
    "regression": ")  # the value of each text",
}
LIMITS: dict[Kind, str] = {
    "single": "Every text gets one of its labels, also one to which none applies",
    "multi": "A text has the labels of a probability of 0.5 or more: that bound was not fitted to any label",
    "regression": "Nothing keeps its values within the range of those that it was trained on",
}
CALIBRATED = (
    "Whether its probabilities are calibrated, and whether it is worse for some group of texts, was not measured"
)
UNMEASURED: dict[Kind, str] = {
    "single": CALIBRATED,
    "multi": CALIBRATED,
    "regression": "Whether it is worse for some group of texts was not measured",
}


def card(classifier: Classifier, mix: Mix) -> str:
    """Markdown with the hub's YAML in front, of a classifier that was trained on ``mix`` and says so.

    Whatever a person or a file named is escaped: it renders as itself. Nothing is said that is not recorded.
    """
    on = classifier.trained_on
    assert on is not None  # whoever has a mix to describe has told the classifier
    lock, summary, frame = mix.lock, mix.summary(), mix.frame()
    blocks = [
        _front(classifier, mix),
        f"# {escape(mix.name)}",
        f"{_what(classifier)}, fine-tuned by curator from {_base(classifier)}.",
        *_outputs(classifier),
        "## What it was trained on",
        _trained_on(classifier, on, mix.target_licence() or UNKNOWN),
        "### Sources of the mix",
        sources(summary["sources"], frame, mix.licences()),
        "### Sources and labels of the mix",
        composition(frame),
        "### How the mix was made",
        stages(lock, summary),
        facts(lock, summary, MIX_LOCK),
        "## Training",
        _settings(classifier, on),
        "## Scores on dev",
        _scores(classifier, on),
        "## How to load it",
        _loading(classifier),
        "## Limitations",
        _limitations(classifier, on, lock),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _what(classifier: Classifier) -> str:
    match classifier.kind:
        case "single":
            return f"A classifier of texts with {len(classifier.labels)} labels"
        case "multi":
            return f"A classifier of texts with {len(classifier.labels)} labels, of which a text has any number"
        case "regression":
            return "A regression, which gives each text a value"


def _outputs(classifier: Classifier) -> list[str]:
    if classifier.scale is None:
        rows = [[str(number), label] for number, label in enumerate(classifier.labels)]
        return ["## Labels", table(["Number", "Label"], rows, text=(1,))]
    mean, spread = classifier.scale.mean, classifier.scale.spread
    told = f"Its single output is in the unit of the labels, whose mean in training was {mean:.6g}"
    return ["## Values", f"{told}, with a standard deviation of {spread:.6g}."]


def _front(classifier: Classifier, mix: Mix) -> str:
    """A licence is named where the mix's sources have one and the same, and the target is not known to have another."""
    adapter = classifier.settings.adapter != "none"
    target, base = mix.target_licence(), _hub_name(classifier)
    names = {*hub_licences(mix.frame(), mix.licences()), *([hub_licence(target)] if target else [])}
    return front_matter(
        {
            "library_name": "peft" if adapter else "transformers",
            "pipeline_tag": "text-classification",
            "base_model": base,
            "base_model_relation": base and ("adapter" if adapter else "finetune"),
            "license": next(iter(names - {UNKNOWN}), None) if len(names) == 1 else None,
            "language": languages(mix.lock),
            "tags": ["curator", *sorted({*mix.tags} - {"curator"})],
        }
    )


def _hub_name(classifier: Classifier) -> str | None:
    """What the hub calls the model that was fine-tuned; None for a directory, of which it knows nothing."""
    name = classifier.settings.model
    return EMBEDDED if name == "embedded" else None if Path(name).is_dir() else name


def _base(classifier: Classifier) -> str:
    name = _hub_name(classifier)
    return escape(name) if name else f"the model in a directory named {escape(Path(classifier.settings.model).name)}"


def _trained_on(classifier: Classifier, on: TrainedOn, licence: str) -> str:
    first, last = classifier.settings.lambdas
    told = f"λ = {first:g}" if first == last else f"λ from {first:g} to {last:g}"
    lines = [
        f"{on.documents:,} documents of the mix {on.mix}, version {on.version}",
        f"{on.target:,} examples of the target (licence: {licence})",
        f"The loss on the mix is weighed 1 + λ, that on the target −λ, with {told}",
        f"{on.truncated:,} of these texts were cut at {classifier.settings.max_length} tokens",
        *_uses(on.uses),
        *_replay(classifier, on),
    ]
    return "\n".join(f"- {escape(line)}." for line in lines)


def _uses(uses: Mapping[str, Any]) -> list[str]:
    """What was done with documents of the mix that have no label of the task."""
    lines = []
    if text := uses.get("text"):
        how = f"{text['objective']}, {text['steps']:,} steps"
        lines.append(f"Before that, {text['documents']:,} documents as text: {how}")
    if other := uses.get("auxiliary"):
        sources = ", ".join(other["sources"])
        when = f"in {other['steps']:,} steps before" if other["place"] == "before" else "beside"
        lines.append(f"{other['documents']:,} documents with their own labels, {when} the task: {sources}")
    taught = uses.get("teacher", ())
    return lines + [f"{one['taught']:,} of {one['documents']:,} documents with a teacher's labels" for one in taught]


def _replay(classifier: Classifier, on: TrainedOn) -> list[str]:
    """What was trained on again of earlier tasks, and how the model did on their dev sets."""
    if on.replay is None or classifier.settings.replay is None:
        return []
    mixes = ", ".join(f"{count:,} of {name}" for name, count in on.replay["of"].items())
    lines = [
        f"{on.replay['documents']:,} documents of earlier tasks were replayed, for "
        f"{classifier.settings.replay.share:.0%} of the loss: {mixes}; the latest is the mix {on.replay['mix']}, "
        f"version {on.replay['version']}"
    ]
    for one in on.scores.get("earlier", ()) if on.scores else ():
        labels = sum(of["support"] > 0 for of in one["per_label"].values())
        lines.append(
            f"Macro-F1 on {one['n']:,} dev documents of an earlier task, of {labels} labels: {one['macro_f1']:.3f}"
        )
    return lines


def _settings(classifier: Classifier, on: TrainedOn) -> str:
    values = classifier.settings.model_dump(mode="json", by_alias=True, exclude=set(UNDECIDING))
    for use in USES:
        if use not in on.uses:
            del values[use]
    if values["adapter"] == "none":
        del values["rank"]
    values["model"] = _hub_name(classifier) or Path(classifier.settings.model).name
    values |= {"seed": classifier.seed, "device": on.device, "computed in": on.precision}
    values |= {"base_sha256": classifier.base} if classifier.base else {}
    rows = [[name, str(value)] for name, value in values.items() if value is not None]
    ran = f"{on.steps:,} steps were run; the weights are those after step {on.best_step:,}."
    return table(["Setting", "Value"], rows, text=(0, 1)) + f"\n\n{ran}"


def _scores(classifier: Classifier, on: TrainedOn) -> str:
    if on.scores is None:
        return "There was no dev set: nothing was measured."
    means = [[told, _number(on.scores.get(name))] for name, told in SCORES[classifier.kind].items()]
    columns = ("precision", "recall", "f1")
    rows = [
        [label, *(_number(of[name]) for name in columns), f"{of['support']:,}"]
        for label, of in ((label, on.scores["per_label"][label]) for label in classifier.labels)
    ]
    return "\n\n".join(
        [
            f"Measured on {on.scores['n']:,} dev documents, which it was not trained on.",
            table(["Score", "Value"], means, text=(0,)),
            *([table(["Label", "Precision", "Recall", "F1", "Documents"], rows, text=(0,))] if rows else []),
        ]
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _loading(classifier: Classifier) -> str:
    """For a shell and for Python, in the model's own directory."""
    length, outputs = classifier.settings.max_length, len(outputs_of(classifier.labels, classifier.kind))
    shell = 'With curator:\n\n```sh\necho "a text" | curator predict .\n```'
    if classifier.settings.adapter != "none":
        code = (
            "from peft import AutoPeftModelForSequenceClassification\n"
            "from transformers import AutoTokenizer\n\n"
            f'model = AutoPeftModelForSequenceClassification.from_pretrained(".", num_labels={outputs})\n'
            'tokenizer = AutoTokenizer.from_pretrained(".")\n'
            f'texts = tokenizer(["a text"], truncation=True, max_length={length}, return_tensors="pt")\n'
            f"print(model.eval()(**texts).logits{SAID[classifier.kind]}"
        )
        return f"{shell}\n\nWith peft, where the model that was fine-tuned is at hand:\n\n```python\n{code}\n```"
    code = (
        "from transformers import pipeline\n\n"
        f'classify = pipeline("text-classification", model=".", truncation=True, max_length={length})\n'
        f'print(classify("a text"{", top_k=None" if classifier.kind == "multi" else ""}))'
    )
    return f"{shell}\n\nWith transformers:\n\n```python\n{code}\n```"


def _read(classifier: Classifier) -> str:
    length = classifier.settings.max_length
    if classifier.settings.long_texts == "head":
        return f"the first {length}"
    return f"the first {length // 4} and the last {length - length // 4}"


def _limitations(classifier: Classifier, on: TrainedOn, lock: Mapping[str, Any]) -> str:
    chosen = (
        f"The weights are the best on dev of those looked at every {classifier.settings.evaluate_every:,} steps, so "
        "the scores above are somewhat too good"
    )
    kept = languages(lock)
    apart = lock["recipe"]["task"].get("decontaminate", True)
    lines = [
        f"It reads {_read(classifier)} tokens of a text, those that mark its ends included",
        LIMITS[classifier.kind],
        *([chosen] if on.scores else []),
        "Nothing was measured on the test set for this card: curator race does that, over seeds and against baselines",
        f"It is one run, of seed {classifier.seed}: how far runs of other seeds differ was not measured for this card",
        UNMEASURED[classifier.kind],
        "A stage kept documents that were found to be in: " + ", ".join(kept)
        if kept
        else "In which languages the documents are was not looked at",
        *([] if apart else ["Documents of the test set were not kept out of the mix"]),
    ]
    return "\n".join(f"- {escape(line)}." for line in lines)
