"""`kedro model`: what is registered, what it is made of, and which of it is in use."""

from importlib import import_module
from typing import Any

import click

COMMANDS: dict[str, str] = {
    "audit": "audit",
    "used": "used",
    "reproduce": "reproduce",
    "compare": "compare",
    "promote": "promote",
    "rollback": "rollback",
    "history": "history",
    "export": "export",
    "verify": "verify",
    "deliver": "deliver",
}
"""Name -> module below graft.commands that holds the command of that name."""


class ModelGroup(click.Group):
    """Imports a command when it is asked for: `kedro --help` stays quick."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of a name; None for an unknown one."""
        if name not in COMMANDS:
            return None
        found: Any = getattr(import_module(f"graft.commands.{COMMANDS[name]}"), name)
        assert isinstance(found, click.Command)
        return found


@click.command(cls=ModelGroup)
def model() -> None:
    """Registered models: audit, compare, promote, roll back."""
