"""`kedro case pack | unpack`: a case's raw folder as a few tar shards under DVC, and back."""

import json
from pathlib import Path
from typing import Any

import click

from graft.commands.speaking import speak_plainly


@click.command()
@click.argument("case")
@click.option("--no-dvc", is_flag=True, help="Do not put the shards under DVC.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
@speak_plainly
def pack(metadata: Any, case: str, no_dvc: bool, as_json: bool) -> None:
    """Pack CASE's raw folder into tar shards, which DVC takes far quicker than many small files.

    The folder stays, for runs read it. On another machine: `dvc pull`, then `kedro case unpack`.
    """
    from graft.adapters.layers import packed_folder
    from graft.adapters.packing import pack as pack_folder

    project, raw = _raw_of(metadata, case)
    packed = packed_folder(raw)
    contents = pack_folder(raw, packed)
    _tell(contents, f"{packed}: {len(contents['shards'])} shards, read back and compared", as_json)
    if no_dvc:
        return
    from graft.adapters.bringing import put_under_dvc

    def say(text: str) -> None:
        click.echo(text, err=as_json)

    put_under_dvc(project, case, [], packed, shared=False, say=say)
    pointer = raw.with_name(f"{raw.name}.dvc")
    if pointer.is_file():
        say(f"dvc: {pointer} states the same folder file by file; `dvc remove` it to keep shards")


@click.command()
@click.argument("case")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
@speak_plainly
def unpack(metadata: Any, case: str, as_json: bool) -> None:
    """Write CASE's raw folder from its shards, byte for byte as it was packed."""
    from graft.adapters.layers import packed_folder
    from graft.adapters.packing import unpack as unpack_folder

    _, raw = _raw_of(metadata, case)
    contents = unpack_folder(packed_folder(raw), raw)
    _tell(contents, f"{raw}: as it was packed", as_json)


def _raw_of(metadata: Any, case: str) -> tuple[Path, Path]:
    """The project, and the raw folder that conf names for a case."""
    from graft.adapters.conf import check_case, open_conf

    project = Path(metadata.project_path)
    conf = project / "conf"
    check_case(conf, case)
    return project, project / str(open_conf(conf, case)["globals"]["raw"])


def _tell(contents: dict[str, Any], said: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(contents, indent=2))
        return
    click.echo(said)
    click.echo(f"  {contents['files']} files, {contents['bytes'] / 1e6:.1f} MB")
    click.echo(f"  digest {contents['tree_sha256']}")
