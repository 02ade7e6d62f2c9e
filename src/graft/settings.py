"""What Kedro must know of this project."""

from graft.adapters.console import ConsoleHook
from graft.adapters.lineage.hook import LineageHook
from graft.adapters.parameters import ParametersHook
from graft.adapters.tasks_of_case import DEFAULT_CASE
from graft.adapters.tracking.hook import TrackingHook

HOOKS = (ParametersHook(), ConsoleHook(), TrackingHook(), LineageHook())

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": DEFAULT_CASE,
    "config_patterns": {
        "mlflow": ["mlflow*", "**/mlflow*"],
        "declared": ["declared*", "**/declared*"],
    },
    # An overlay names only what differs; without this it would replace whole blocks.
    "merge_strategy": {"parameters": "soft"},
}
