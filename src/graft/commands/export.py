"""`kedro model export`: one folder that shows what a version is."""

import json
from pathlib import Path
from typing import Any

import click

from graft.commands.speaking import speak_plainly

HERE = click.Path(path_type=Path, resolve_path=True)
"""A path as the user's shell sees it: opening the case may stand elsewhere."""


@click.command()
@click.argument("model", metavar="MODEL[@alias | /version]")
@click.option(
    "--bom",
    is_flag=True,
    default=True,
    expose_value=False,
    help="With a bill of materials: the only form there is, and the default.",
)
@click.option("--out", type=HERE, help="Default: data/10_export/MODEL/VERSION.")
@click.option("--without-weights", is_flag=True, help="Leave the weights out, keep their digest.")
@click.option("--key", type=HERE, help="Ed25519 key (PEM) to sign with.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
@speak_plainly
def export(
    metadata: Any,
    model: str,
    out: Path | None,
    without_weights: bool,
    key: Path | None,
    as_json: bool,
) -> None:
    """Write one folder that shows what a registered version is and can be checked offline.

    A CycloneDX bill of materials, an in-toto statement with SLSA provenance, a model card, the
    technical documentation that the EU AI Act's Annex IV asks for, the lineage record with its
    tables and the ledger, and the registered bytes. Images are not in it. The root digest of the
    folder becomes a tag of the version, and an entry of the ledger that comes after those in the
    folder. Check it: kedro model verify FOLDER.
    """
    from graft.adapters.export.declared import read_declared
    from graft.adapters.export.gathering import Asked
    from graft.adapters.export.writing import export_version
    from graft.adapters.layers import EXPORTED
    from graft.adapters.ledger.ledger import EXPORT
    from graft.adapters.lineage.versions import version_of
    from graft.adapters.promotion.case import open_case
    from graft.adapters.promotion.moving import note

    case = open_case(Path(metadata.project_path), model)
    version = version_of(model)
    declared = read_declared(case.project, case.name)
    asked = Asked(case.project, version, case.ledger, declared, weights=not without_weights)
    folder = out or case.project / EXPORTED / version.name / str(version.version)
    done = export_version(asked, folder, key)
    evidence = {"root_sha256": done["root_sha256"]}
    note(case, EXPORT, str(version.version), reason=_said(done), evidence=evidence)
    click.echo(json.dumps(done, indent=2) if as_json else _text(done))


def _said(done: dict[str, Any]) -> str:
    return f"{done['files']} files, {'signed' if done['signed'] else 'unsigned'}"


def _text(done: dict[str, Any]) -> str:
    return "\n".join([
        f"{done['folder']}: {_said(done)}",
        f"root {done['root_sha256']}",
        f"check it: kedro model verify {done['folder']}",
    ])  # fmt: skip
