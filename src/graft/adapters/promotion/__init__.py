"""From registered models to champions: evidence out of MLflow, the rule, the ledger, the alias."""
