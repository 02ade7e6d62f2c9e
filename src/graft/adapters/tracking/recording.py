"""How a saved dataset becomes part of a run, by the kind that its catalog entry names."""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from graft.adapters.tracking.run import OpenRun, now_ms

Recorder = Callable[[OpenRun, str, str, Any, Path, Mapping[str, str]], None]


def record_artifact(
    run: OpenRun, task: str, name: str, data: Any, path: Path, tags: Mapping[str, str]
) -> None:
    """Keep the file as it was written."""
    run.artifact(path, task)


def record_metrics(
    run: OpenRun, task: str, name: str, data: Any, path: Path, tags: Mapping[str, str]
) -> None:
    """Each score with the two ends of its interval; what is undefined is left out."""
    time_ms = now_ms()
    scores = []
    for metric, score in data.items():
        for end, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
            value = score.get(end)
            if isinstance(value, int | float) and math.isfinite(value):
                scores.append((f"{task}.{metric}{suffix}", float(value), time_ms, 0))
    run.metrics(scores)
    record_artifact(run, task, name, data, path, tags)


def record_history(
    run: OpenRun, task: str, name: str, data: Any, path: Path, tags: Mapping[str, str]
) -> None:
    """Every number of every epoch, in one call."""
    model = name.removesuffix("_history")
    run.metrics(
        [
            (f"{task}.{model}.{column}", float(value), 0, int(row["epoch"]))
            for _, row in data.iterrows()
            for column, value in row.items()
            if column != "epoch" and isinstance(value, int | float) and math.isfinite(value)
        ]
    )
    record_artifact(run, task, name, data, path, tags)


def record_data(
    run: OpenRun, task: str, name: str, data: Any, path: Path, tags: Mapping[str, str]
) -> None:
    """The data as dataset inputs: one per split, with a digest over every byte."""
    from graft.vision.records import data_digest

    run.tags({f"{task}.data.sha256": data_digest(data)})
    splits = {str(split): rows for split, rows in data.groupby("split")}
    digests = {split: data_digest(rows) for split, rows in splits.items()}
    counts = {split: len(rows) for split, rows in splits.items()}
    for split, dataset, said in _inputs(task, digests, counts, tags):
        run.input(dataset, {**said, "mlflow.data.context": split})
    record_artifact(run, task, name, data, path, tags)


def log_splits(
    task: str, digests: Mapping[str, str], counts: Mapping[str, int], tags: Mapping[str, str]
) -> dict[str, Any]:
    """Each split as a dataset input of MLflow's active run; returns MLflow's datasets by split.

    Args:
        tags: the data's version, on each input and its source.
    """
    import mlflow

    datasets = {}
    for split, dataset, said in _inputs(task, digests, counts, tags):
        mlflow.log_input(dataset, context=split, tags=said)
        datasets[split] = dataset
    return datasets


def _inputs(
    task: str, digests: Mapping[str, str], counts: Mapping[str, int], tags: Mapping[str, str]
) -> Iterator[tuple[str, Any, dict[str, str]]]:
    """Split, MLflow's dataset of it and its tags.

    MLflow's own digest covers the first 10,000 elements only, and its limit is 36 characters, so
    the full SHA-256 stands in the tags.
    """
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    source = CodeDatasetSource(tags=dict(tags))
    for split, digest in digests.items():
        own = {"data.sha256": digest, "images": str(counts[split])}
        yield split, MetaDataset(source, f"{task}-{split}", digest[:36]), {**tags, **own}


def record_verdict(
    run: OpenRun, task: str, name: str, data: Any, path: Path, tags: Mapping[str, str]
) -> None:
    """The verdict in words, where a reader of the run sees it first."""
    run.tags(
        {
            f"{task}.verdict": " ".join(data["sentences"])[:5000],
            f"{task}.chosen": data["chosen"],
            "mlflow.note.content": "\n\n".join(data["sentences"]),
        }
    )
    record_artifact(run, task, name, data, path, tags)


RECORDERS: dict[str, Recorder] = {
    "artifact": record_artifact,
    "metrics": record_metrics,
    "history": record_history,
    "data": record_data,
    "verdict": record_verdict,
}
