"""`kedro model export` and `kedro model verify`, and what conf may declare."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from exported_cases import lay_version

from graft.adapters.export import ANNEX
from graft.adapters.export.declared import DeclaredOptions, read_declared
from graft.adapters.ledger.ledger import EXPORT, FOLDER, Ledger
from graft.commands.export import export
from graft.commands.verify import verify
from graft.vision.errors import OptionsError

ROOT = Path(__file__).resolve().parents[3]
CASES = sorted({path.parent.name for path in ROOT.glob("conf/*/declared.yml")} - {"base"})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose case declares where its data come from."""
    before, project = Path.cwd(), tmp_path_factory.mktemp("command") / "project"
    lay_version("classification", project)
    shutil.copytree(ROOT / "conf/base", project / "conf/base")
    (project / "conf/tiny").mkdir()
    (project / "conf/tiny/globals.yml").write_text("case: tiny\nraw: files\n")
    (project / "conf/tiny/declared.yml").write_text("data_origin: drawn by a test\n")
    yield project
    os.chdir(before)


def exported(project: Path, *options: str) -> Result:
    command = ["tiny-classification/1", *options]
    return CliRunner().invoke(export, command, obj=SimpleNamespace(project_path=project))


def test_export_command__writes_what_conf_declares(project: Path, tmp_path: Path) -> None:
    done = exported(project, "--bom", "--out", str(tmp_path / "export"), "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    points = json.loads((tmp_path / "export" / ANNEX).read_text())["points"]
    assert points["2"]["fields"]["2d_origin"]["value"] == "drawn by a test"
    checked = CliRunner().invoke(verify, [str(tmp_path / "export"), "--root", said["root_sha256"]])
    assert checked.exit_code == 0 and checked.stdout.endswith("all holds\n")
    checked = CliRunner().invoke(verify, [str(tmp_path / "export"), "--root", "0" * 64])
    assert checked.exit_code == 1 and "root_sha256" in checked.stdout


def test_export_command__leaves_an_entry_in_the_ledger(project: Path, tmp_path: Path) -> None:
    done = exported(project, "--out", str(tmp_path / "export"), "--json")
    entry = Ledger(project / FOLDER, "tiny-classification").entries[-1]
    assert (entry["action"], entry["version"]) == (EXPORT, "1")
    assert entry["evidence"] == {"root_sha256": json.loads(done.stdout)["root_sha256"]}
    again = exported(project, "--out", str(tmp_path / "again"), "--json")
    checked = CliRunner().invoke(verify, [json.loads(again.stdout)["folder"]])
    assert checked.exit_code == 0, checked.output
    rows = json.loads((tmp_path / "again" / ANNEX).read_text())
    assert "export by" not in json.dumps(rows)  # it is no decision


def test_export_command__has_a_folder_of_its_own(project: Path) -> None:
    done = exported(project, "--without-weights")
    assert done.exit_code == 0, done.output
    assert (project / "data/10_export/tiny-classification/1" / ANNEX).is_file()


def test_verify_command__says_plainly_where_no_export_is(tmp_path: Path) -> None:
    done = CliRunner().invoke(verify, [str(tmp_path)])
    assert done.exit_code == 1 and "holds no export" in done.output


@pytest.mark.parametrize("case", CASES)
def test_declared__of_each_case_that_ships(case: str) -> None:
    said = read_declared(ROOT, case)
    assert said.data_origin and said.conformity_declaration is None


def test_declared__refuses_what_it_does_not_know() -> None:
    with pytest.raises(OptionsError, match=r"data_license.*did you mean 'data_licence'"):
        DeclaredOptions.parse({"data_license": "MIT"}, "conf: declared.yml")
