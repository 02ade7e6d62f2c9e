"""`kedro model verify`: an exported folder, checked by itself."""

import json
import sys
from pathlib import Path

import click

from graft.commands.speaking import speak_plainly


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, resolve_path=True))
@click.option("--root", help="The root digest as the registry states it (tag export.root_sha256).")
@click.option("--key", type=click.Path(path_type=Path), help="The signer's public key (PEM).")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@speak_plainly
def verify(folder: Path, root: str | None, key: Path | None, as_json: bool) -> None:
    """Check an exported folder offline, without MLflow and without the project it came from.

    Every file is hashed, every document is made again of the folder's records, every score is
    measured again from the recorded predictions; what differs is named by file and field. Outside a
    project: python -m graft.commands.verify FOLDER. Exit code 0 only when all holds.
    """
    from graft.adapters.export.verifying import verify as verify_folder
    from graft.adapters.lineage.audit.whole import rows_text

    report = verify_folder(folder, root, key)
    click.echo(json.dumps(report, indent=2, ensure_ascii=False) if as_json else rows_text(report))
    sys.exit(0 if report["holds"] else 1)


if __name__ == "__main__":
    verify()
