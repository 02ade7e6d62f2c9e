"""Runs and models in MLflow, through a small hook of our own."""
