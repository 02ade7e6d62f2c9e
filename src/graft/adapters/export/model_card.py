"""The model card: front matter as the Hugging Face hub reads it, then what people ask first."""

from collections.abc import Iterator, Sequence
from typing import Any

from graft.adapters.export import takes
from graft.adapters.export.markdown import cell, inert
from graft.adapters.export.reading import Exported
from graft.adapters.export.scores import Measured
from graft.adapters.lineage import UNKNOWN
from graft.vision.tasks import HUB_TAGS

FEW_IMAGES = 10
"""Test images of a class below which its scores tell little."""
Lines = Iterator[str]


def model_card_of(exported: Exported, measured: Measured) -> str:
    """The whole card as Markdown."""
    parts = (_purpose, _scores, _classes, _slices, _verdict, _limits, _data, _training, _proof)
    body = [line for part in parts for line in ["", *part(exported, measured)]]
    front = _front_matter(exported, measured)
    return "\n".join(["---", front.strip(), "---", "", f"# {exported.name}", *body, ""])


def _front_matter(exported: Exported, measured: Measured) -> str:
    from huggingface_hub import ModelCardData

    licence = exported.declared["model_licence"]
    data = ModelCardData(
        model_name=exported.version["model"],
        license="other" if licence else None,
        license_name=licence,
        library_name="graft",
        pipeline_tag=HUB_TAGS.get(exported.task, exported.task),
        tags=["graft", exported.card["backbone"]["architecture"]],
        eval_results=list(_results(exported, measured)) or None,
    )
    return str(data.to_yaml())


def _results(exported: Exported, measured: Measured) -> Iterator[Any]:
    from huggingface_hub import EvalResult

    for name, score in (takes.scores(exported, measured) or {}).items():
        if isinstance(score["value"], int | float):
            yield EvalResult(
                task_type=HUB_TAGS.get(exported.task, exported.task),
                dataset_type=exported.case,
                dataset_name=exported.case,
                dataset_split="test",
                dataset_revision=takes.test_set(exported, measured),
                metric_type=name,
                metric_value=round(score["value"], 6),
            )


def _purpose(exported: Exported, measured: Measured) -> Lines:
    said, record = exported.declared, exported.record
    classes = exported.card["classes"]["names"]
    backbone = f"{record['backbone']['architecture']} ({record['backbone']['pretrained_on']})"
    yield f"{exported.task} of {len(classes)} classes ({inert(', '.join(classes))}), on {backbone}."
    yield ""
    for words, name in (("For", "intended_purpose"), ("Not for", "not_intended_for"),
                        ("Users", "intended_users"), ("Responsible", "responsible_person"),
                        ("Licence", "model_licence")):  # fmt: skip
        yield f"- {words}: {_line(said[name])}"


def _scores(exported: Exported, measured: Measured) -> Lines:
    images = (exported.images or {}).get("by_split", {}).get("test", UNKNOWN)
    yield "## Scores"
    yield ""
    said = takes.scores(exported, measured)
    options = measured.evaluation
    if not said or options is None:
        yield "unknown: no predictions or no scores were recorded."
        return
    drawn = f"by {options.resamples} resamples of images that belong together"
    yield f"On {images} test images; intervals of confidence {options.confidence}, {drawn}."
    yield ""
    rows = [
        [n, _number(s["value"]), _number(s["low"]), _number(s["high"])] for n, s in said.items()
    ]
    yield from _table(["score", "value", "low", "high"], rows)


def _classes(exported: Exported, measured: Measured) -> Lines:
    yield "## By class"
    yield ""
    if not measured.by_class:
        yield "unknown: no predictions were recorded."
        return
    rows = [[_number(value) for value in row.values()] for row in measured.by_class]
    yield from _table(list(measured.by_class[0]), rows)


def _slices(exported: Exported, measured: Measured) -> Lines:
    yield "## By slice"
    yield ""
    if not measured.by_slice:
        yield "No slice was named by a rule of promotion."
        return
    rows = [[name, _number(value)] for name, value in measured.by_slice.items()]
    yield from _table(["slice", measured.primary], rows)


def _verdict(exported: Exported, measured: Measured) -> Lines:
    yield "## Verdict"
    yield ""
    yield from _listed(takes.verdict(exported, measured))
    yield ""
    yield "Promotion:"
    yield ""
    yield from _listed(takes.decisions(exported, measured))


def _limits(exported: Exported, measured: Measured) -> Lines:
    said = exported.declared
    yield "## Limits"
    yield ""
    for row in measured.by_class:
        if row["images"] < FEW_IMAGES:
            few = f"{row['images']} test images of {row['class']}"
            yield f"- {inert(few)}: its scores tell little."
    yield f"- Defects of the images: {_line(said['data_defects'])}"
    yield f"- Foreseeable risks: {_line(said['foreseeable_risks'])}"
    yield f"- Inputs must be: {_line(said['input_requirements'])}"
    yield f"- Overfitting: {inert(_joined(takes.overfitting(exported, measured)))}"
    yield f"- Harmony of weights, policy and data: {_harmony(exported)}"


def _harmony(exported: Exported) -> str:
    found = exported.json("harmony.json")
    if found is None:
        return UNKNOWN
    return inert(_joined(found)) if found else "no finding"


def _data(exported: Exported, measured: Measured) -> Lines:
    said, images = exported.declared, exported.images
    yield "## Data"
    yield ""
    for words, name in (("Origin", "data_origin"), ("Licence", "data_licence"),
                        ("Labelled", "data_annotation"), ("Persons", "personal_data")):  # fmt: skip
        yield f"- {words}: {_line(said[name])}"
    found = takes.cleaning(exported, measured)
    yield f"- Quality: {inert(_quality(found)) if found else UNKNOWN}"
    yield ""
    if images is None:
        yield "unknown: no table of images was recorded."
        return
    digests = images["sha256_by_split"]
    rows = [[split, str(n), digests[split]] for split, n in sorted(images["by_split"].items())]
    yield from _table(["split", "images", "SHA-256 of images and truths"], rows)


def _quality(found: dict[str, Any]) -> str:
    counts = [
        f"{found['quarantined']} refused",
        f"{found['exact_copies']} exact and {found['near_copies']} near copies",
        f"{found['leaking_images']} leaking between splits",
    ]
    findings = [_finding(each) for each in found["findings"]] or ["no other finding"]
    return "; ".join([*counts, *findings])


def _finding(found: Any) -> str:
    return str(found.get("text", found)) if isinstance(found, dict) else str(found)


def _training(exported: Exported, measured: Measured) -> Lines:
    yield "## Training"
    yield ""
    said = takes.training(exported, measured)
    names = ("strategy", "epochs", "batch_size", "learning_rate", "weight_decay", "ema_decay")
    yield from (f"- {name}: {said[name]}" for name in names if name in said)
    yield f"- seed: {exported.known('seeds.card')}"
    policy = exported.known("augmentation.policy.preset")
    yield f"- augmentation: {policy}, SHA-256 {exported.known('augmentation.sha256')}"
    machine = exported.known("machine")
    yield f"- machine: {_joined(machine)}"


def _proof(exported: Exported, measured: Measured) -> Lines:
    yield "## What this stands on"
    yield ""
    rows = [
        ["registered bytes", takes.bytes_(exported, measured)],
        ["lineage record", exported.sha256("lineage.json")],
        ["backbone", exported.known("backbone.sha256")],
        ["environment lock", exported.known("lock.sha256")],
        ["configuration", exported.known("configuration.sha256")],
        ["code commit", exported.known("code.commit")],
        ["uncommitted difference", exported.known("code.diff_sha256")],
        ["data version of DVC", exported.known("data.dvc_md5")],
    ]
    yield from _table(["what", "digest"], rows)
    yield ""
    yield "Check all of it, offline: `kedro model verify FOLDER`."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Lines:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(map(cell, row))} |"


def _listed(texts: Sequence[str] | None) -> Lines:
    yield from (f"- {inert(text)}" for text in texts or [UNKNOWN])


def _joined(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    if isinstance(value, list):
        return "; ".join(_finding(each) for each in value)
    return UNKNOWN if value is None else str(value)


def _line(text: str | None) -> str:
    return inert(text) if text else UNKNOWN


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "n/a" if value is None else str(value)
