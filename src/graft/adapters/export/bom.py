"""The bill of materials of a model: CycloneDX 1.6, composed of an exported folder's records.

https://cyclonedx.org/docs/1.6/json/ ; the kept library validates it, and has no classes for model
cards, which is why it is composed as JSON.
"""

import uuid
from collections.abc import Iterator
from typing import Any

from graft.adapters.export.packages import Pinned, pinned_packages
from graft.adapters.export.reading import WEIGHTS, Exported
from graft.adapters.export.scores import Measured
from graft.adapters.lineage import UNKNOWN
from graft.adapters.lineage.parents import parent_of

Json = dict[str, Any]
MODEL, BACKBONE = "model", "backbone"
SPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
"""Of URLs (RFC 9562), below which serial numbers are named by what the BOM is made of."""
USES = {"train": "weights are fitted to it", "val": "epochs and temperature are chosen by it",
        "test": "scores are measured on it"}  # fmt: skip


def bom_of(exported: Exported, measured: Measured) -> Json:
    """The whole document."""
    packages = pinned_packages(exported.lock or "")
    data = list(_datasets(exported))
    others = [*_backbone(exported), *data, *map(_package, packages)]
    parts = sorted(each["bom-ref"] for each in others)
    serial = uuid.uuid5(SPACE, f"urn:graft:{exported.name}:{exported.sha256('version.json')}")
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": exported.made,
            "lifecycles": [{"phase": "post-build"}],
            "tools": {"components": [_tool(exported)]},
            "component": _model(exported, measured, [each["bom-ref"] for each in data]),
        },
        "components": others,
        "dependencies": [{"ref": MODEL, "dependsOn": parts}, *({"ref": ref} for ref in parts)],
        "properties": [{"name": "graft:lineage_sha256", "value": exported.sha256("lineage.json")}],
    }


def files_of(bom: Json) -> dict[str, str]:
    """SHA-256 of each registered file, as far as the BOM states it."""
    files = bom["metadata"]["component"].get("components", [])
    hashes = {each.get("name", "?"): each.get("hashes") or [{}] for each in files}
    return {name: found[0].get("content", "") for name, found in hashes.items()}


def _tool(exported: Exported) -> Json:
    return {"type": "application", "name": "graft", "version": exported.version["exported"]["by"]}


def _model(exported: Exported, measured: Measured, data: list[str]) -> Json:
    code, declared = exported.known("code.commit"), exported.declared
    return {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": exported.version["model"],
        "version": exported.version["version"],
        "description": f"{exported.task} model, {exported.known('model.contender')}",
        **_hashes(exported.registered.get(WEIGHTS, UNKNOWN)),
        **_licences(declared["model_licence"] or UNKNOWN),
        "pedigree": {
            "ancestors": [*_parent(exported), *map(_ancestor, _backbone(exported))],
            "commits": [] if code == UNKNOWN else [{"uid": code}],
            "notes": _how(exported),
        },
        "components": [
            {"type": "file", "name": name, **_hashes(sha256)}
            for name, sha256 in exported.registered.items()
        ],
        "modelCard": _card(exported, measured, data),
        "properties": _properties(
            registered_sha256=exported.known("registered.sha256"),
            configuration_sha256=exported.known("configuration.sha256"),
            tree=exported.known("code.tree"),
            dirty=exported.known("code.dirty"),
        ),
    }


def _how(exported: Exported) -> str:
    strategy, seed = exported.card["strategy"], exported.known("seeds.card")
    return f"grafted onto the backbone and trained by strategy {strategy}, seed {seed}"


def _card(exported: Exported, measured: Measured, data: list[str]) -> Json:
    view = exported.card["preprocessing"]
    size, channels = view["size_px"], view["channels"]
    classes = exported.card["classes"]["names"]
    return {
        "bom-ref": "model-card",
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": exported.task,
            "modelArchitecture": exported.card["backbone"]["architecture"],
            "datasets": [{"ref": ref} for ref in data],
            "inputs": [{"format": f"image of {size}x{size} px, {channels} channels, uint8"}],
            "outputs": [{"format": f"{exported.task} by {', '.join(classes)}"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": list(_metrics(measured))},
        "considerations": _considerations(exported),
    }


def _metrics(measured: Measured) -> Iterator[Json]:
    for name, score in (measured.scores or {}).items():
        bounds = {"lowerBound": _short(score["low"]), "upperBound": _short(score["high"])}
        value = _short(score["value"])
        yield {"type": name, "value": value, "slice": "test", "confidenceInterval": bounds}
    for row in measured.by_class:
        scores = {name: value for name, value in row.items() if name not in ("class", "images")}
        for name, value in scores.items():
            yield {"type": name, "value": _short(value), "slice": f"test, class {row['class']}"}
    for name, part in measured.by_slice.items():
        yield {"type": measured.primary, "value": _short(part), "slice": f"test, {name}"}


def _considerations(exported: Exported) -> Json:
    said = exported.declared
    not_for = said["not_intended_for"]
    limits = [not_for and f"Not for: {not_for}", said["data_defects"], said["input_requirements"]]
    risks = [said["foreseeable_risks"], said["discrimination"]]
    return {
        "users": _stated([said["intended_users"]]),
        "useCases": _stated([said["intended_purpose"]]),
        "technicalLimitations": _stated(limits),
        "ethicalConsiderations": [{"name": text} for text in _stated(risks)],
    }


def _stated(texts: list[str | None]) -> list[str]:
    return [text.strip() for text in texts if text] or [UNKNOWN]


def _backbone(exported: Exported) -> Iterator[Json]:
    said = exported.record["backbone"]
    if said["origin"] == "none":  # trained from scratch
        return
    yield {
        "type": "machine-learning-model",
        "bom-ref": BACKBONE,
        "name": said["architecture"],
        "description": f"pre-trained on {said['pretrained_on']}",
        **_package_url(said["origin"]),
        **_hashes(said["sha256"]),
        **_licences(said["licence"]),
        "properties": _properties(origin=said["origin"], pretrained_on=said["pretrained_on"]),
    }


def _parent(exported: Exported) -> Iterator[Json]:
    """The registered version whose split was kept, and whose weights were started from."""
    said = parent_of(exported.record)
    if said is not None:
        yield {
            "type": "machine-learning-model",
            "name": said["name"],
            "version": said["version"],
            **_hashes(said["weights_sha256"]),
            "properties": _properties(gave=said["gave"]),
        }


def _package_url(origin: str) -> Json:
    """Of weights that a Python package ships."""
    kind, _, rest = origin.partition(" ")
    name, _, number = rest.partition(" ")
    return {"purl": Pinned(name, number).purl} if kind == "package" and number else {}


def _ancestor(backbone: Json) -> Json:
    """The same component once more; a reference may be given once."""
    return {key: value for key, value in backbone.items() if key != "bom-ref"}


def _datasets(exported: Exported) -> Iterator[Json]:
    images, licence = exported.images, exported.declared["data_licence"]
    if images is None:
        return
    for split, sha256 in sorted(images["sha256_by_split"].items()):
        yield {
            "type": "data",
            "bom-ref": f"data-{split}",
            "name": f"{exported.case}/{split}",
            **_hashes(sha256),
            **_licences(licence or UNKNOWN),
            "data": [{"type": "dataset", "name": split, "description": USES.get(split, UNKNOWN)}],
            "properties": _properties(
                images=images["by_split"][split],
                origin=exported.declared["data_origin"] or UNKNOWN,
                dvc_md5=exported.known("data.dvc_md5"),
                digest_over="id, SHA-256 of the file and truth of every image, sorted",
            ),
        }


def _package(pinned: Pinned) -> Json:
    hashes = [{"alg": "SHA-256", "content": sha256} for sha256 in pinned.sha256]
    said: Json = {"type": "library", "bom-ref": pinned.purl, "name": pinned.name}
    said |= {"version": pinned.version, "purl": pinned.purl, "hashes": hashes}
    return {**said, "properties": _properties(marker=pinned.marker)} if pinned.marker else said


def _hashes(sha256: str) -> Json:
    """Left out where it is unknown: the schema has no word for that."""
    known = sha256 not in (UNKNOWN, "none")
    return {"hashes": [{"alg": "SHA-256", "content": sha256}]} if known else {}


def _licences(text: str) -> Json:
    from cyclonedx.spdx import is_supported_id

    said = {"id": text} if is_supported_id(text) else {"name": text.strip()}
    return {"licenses": [{"license": said}]}


def _properties(**facts: object) -> list[Json]:
    return [{"name": f"graft:{name}", "value": str(value)} for name, value in facts.items()]


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else str(value or "n/a")
