"""The pure room: arrays and records in, arrays and records out. Knows no Kedro, MLflow or DVC."""
