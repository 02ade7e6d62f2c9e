"""How a saved dataset becomes part of a run, by the kind that its catalog entry names."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Recorder = Callable[[str, str, Any, Path, Mapping[str, str]], None]


def record_artifact(task: str, name: str, data: Any, path: Path, tags: Mapping[str, str]) -> None:
    """Keep the file as it was written."""
    import mlflow

    mlflow.log_artifact(str(path), task)


def record_metrics(task: str, name: str, data: Any, path: Path, tags: Mapping[str, str]) -> None:
    """Each score with the two ends of its interval; what is undefined is left out."""
    import mlflow

    scores: dict[str, float] = {}
    for metric, score in data.items():
        for end, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
            value = score.get(end)
            if isinstance(value, int | float) and math.isfinite(value):
                scores[f"{task}.{metric}{suffix}"] = float(value)
    mlflow.log_metrics(scores)
    record_artifact(task, name, data, path, tags)


def record_history(task: str, name: str, data: Any, path: Path, tags: Mapping[str, str]) -> None:
    """Every number of every epoch, in one call."""
    import mlflow
    from mlflow.entities import Metric

    model = name.removesuffix("_history")
    metrics = [
        Metric(f"{task}.{model}.{column}", float(value), 0, int(row["epoch"]))
        for _, row in data.iterrows()
        for column, value in row.items()
        if column != "epoch" and isinstance(value, int | float) and math.isfinite(value)
    ]
    run = mlflow.active_run()
    client = mlflow.MlflowClient()
    for start in range(0, len(metrics), 1000):
        client.log_batch(run.info.run_id, metrics=metrics[start : start + 1000])
    record_artifact(task, name, data, path, tags)


def record_data(task: str, name: str, data: Any, path: Path, tags: Mapping[str, str]) -> None:
    """The data as dataset inputs: one per split, with a digest over every byte."""
    import mlflow

    from graft.vision.records import data_digest

    mlflow.set_tag(f"{task}.data.sha256", data_digest(data))
    splits = {str(split): rows for split, rows in data.groupby("split")}
    digests = {split: data_digest(rows) for split, rows in splits.items()}
    log_splits(task, digests, {split: len(rows) for split, rows in splits.items()}, tags)
    record_artifact(task, name, data, path, tags)


def log_splits(
    task: str, digests: Mapping[str, str], counts: Mapping[str, int], tags: Mapping[str, str]
) -> dict[str, Any]:
    """Each split as a dataset input of the open run; returns MLflow's datasets by split.

    MLflow's own digest covers the first 10,000 elements only, and its limit is 36 characters, so
    the full SHA-256 stands in the tags.

    Args:
        tags: the data's version, on each input and its source.
    """
    import mlflow
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    source, datasets = CodeDatasetSource(tags=dict(tags)), {}
    for split, digest in digests.items():
        datasets[split] = MetaDataset(source, name=f"{task}-{split}", digest=digest[:36])
        own = {"data.sha256": digest, "images": str(counts[split])}
        mlflow.log_input(datasets[split], context=split, tags={**tags, **own})
    return datasets


def record_verdict(task: str, name: str, data: Any, path: Path, tags: Mapping[str, str]) -> None:
    """The verdict in words, where a reader of the run sees it first."""
    import mlflow

    mlflow.set_tags(
        {
            f"{task}.verdict": " ".join(data["sentences"])[:5000],
            f"{task}.chosen": data["chosen"],
            "mlflow.note.content": "\n\n".join(data["sentences"]),
        }
    )
    record_artifact(task, name, data, path, tags)


RECORDERS: dict[str, Recorder] = {
    "artifact": record_artifact,
    "metrics": record_metrics,
    "history": record_history,
    "data": record_data,
    "verdict": record_verdict,
}
