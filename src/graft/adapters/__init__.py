"""The outside-world room: Kedro datasets and hooks, MLflow, DVC, Git.

It moves records and computes nothing.
"""
