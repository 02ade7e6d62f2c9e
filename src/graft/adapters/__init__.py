"""The outside-world room: Kedro datasets and hooks, MLflow, DVC, Git. Moves records, computes nothing."""
