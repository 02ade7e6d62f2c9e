"""Packed shards: equal folders give equal bytes, and back; nothing reaches outside."""

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from graft.adapters import packing
from graft.adapters.layers import packed_folder
from graft.adapters.packing import CONTENTS, pack, unpack
from graft.commands import packing as commands
from graft.vision.errors import DataError
from graft.vision.records import digest_of, digest_of_file, digests_below

NAMES = ["b/2.png", "a/1.png", "a b/ü-3.png", "deep/" + "x" * 120 + "/4.png", "0.csv", "empty"]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        file = tmp_path / "raw" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"" if name == "empty" else bytes([number]) * 700 * (number + 1))
    return tmp_path / "raw"


def test_pack__gives_the_folder_again_byte_for_byte(raw: Path, tmp_path: Path) -> None:
    contents = pack(raw, packed_folder(raw), shard_bytes=3000)
    assert contents["files"] == len(NAMES) and len(contents["shards"]) == 4
    assert unpack(packed_folder(raw), tmp_path / "again") == contents
    assert digests_below(tmp_path / "again") == digests_below(raw)
    assert contents["tree_sha256"] == digest_of(digests_below(raw))
    assert unpack(packed_folder(raw), raw) == contents  # which is there, and is that


def test_pack__gives_equal_bytes_for_equal_folders(raw: Path, tmp_path: Path) -> None:
    pack(raw, tmp_path / "one", shard_bytes=3000)
    for file in raw.rglob("*"):
        os.utime(file, (5, 5))
        file.chmod(0o755)
    pack(raw, tmp_path / "two", shard_bytes=3000)
    assert digests_below(tmp_path / "one") == digests_below(tmp_path / "two")


NAMED = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\:"),
    min_size=1,
    max_size=40,
).filter(lambda name: name not in (".", ".."))


@settings(max_examples=30, deadline=None)
@given(files=st.dictionaries(NAMED, st.binary(max_size=2000), min_size=1, max_size=6))
def test_pack__takes_any_names_and_bytes(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name, data in files.items():
        (folder / "raw").mkdir(exist_ok=True)
        (folder / "raw" / name).write_bytes(data)
    pack(folder / "raw", folder / "packed", shard_bytes=1000)
    unpack(folder / "packed", folder / "again")
    assert {file.name: file.read_bytes() for file in (folder / "again").iterdir()} == files


def test_pack__refuses_links(raw: Path) -> None:
    (raw / "link.png").symlink_to(raw / "0.csv")
    with pytest.raises(DataError, match=r"link.png cannot be packed.*a link"):
        pack(raw, packed_folder(raw))
    assert not packed_folder(raw).exists()


def test_unpack__names_a_shard_that_was_altered_or_is_missing(raw: Path, tmp_path: Path) -> None:
    packed = packed_folder(raw)
    pack(raw, packed, shard_bytes=3000)
    shard = packed / "000001.tar"
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DataError, match=r"000001.tar was altered.*dvc"):
        unpack(packed, tmp_path / "again")
    shard.unlink()
    with pytest.raises(DataError, match=r"000001.tar is not there"):
        unpack(packed, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_unpack__keeps_another_folder_that_stands_there(raw: Path) -> None:
    pack(raw, packed_folder(raw))
    (raw / "0.csv").write_text("changed")
    with pytest.raises(DataError, match="is already there, and is not what"):
        unpack(packed_folder(raw), raw)
    assert (raw / "0.csv").read_text() == "changed"


def link(kind: bytes) -> Callable[[tarfile.TarInfo], None]:
    def make(member: tarfile.TarInfo) -> None:
        member.type, member.linkname, member.size = kind, "/etc/passwd", 0

    return make


def named(name: str) -> Callable[[tarfile.TarInfo], None]:
    def make(member: tarfile.TarInfo) -> None:
        member.name = name

    return make


@pytest.mark.parametrize(
    "spoil",
    [
        named("../out.png"),
        named("a/../../out.png"),
        named("/tmp/out.png"),
        named("C:/out.png"),
        named("a\\..\\out.png"),
        named("./a.png"),
        link(tarfile.SYMTYPE),
        link(tarfile.LNKTYPE),
        link(tarfile.CHRTYPE),
        link(tarfile.FIFOTYPE),
        link(tarfile.DIRTYPE),
        named("0.csv"),
    ],
)
def test_unpack__refuses_what_reaches_outside_and_all_but_plain_files(
    raw: Path, tmp_path: Path, spoil: Callable[[tarfile.TarInfo], None]
) -> None:
    packed = tmp_path / "packed"
    contents = pack(raw, packed)
    member = tarfile.TarInfo("fine.png")
    member.size = 4
    spoil(member)
    with tarfile.open(packed / "000000.tar", "a:") as archive:
        archive.addfile(member, io.BytesIO(b"evil"))
    contents["shards"]["000000.tar"] = digest_of_file(packed / "000000.tar")
    (packed / CONTENTS).write_text(json.dumps(contents))
    with pytest.raises(DataError, match=r"000000\.tar holds"):
        unpack(packed, tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["packed", "raw"]


def test_pack__leaves_what_was_packed_before_where_it_cannot_be_proved(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pack(raw, packed_folder(raw))
    (raw / "0.csv").write_text("more")
    monkeypatch.setattr(packing, "_read", lambda packed, target: iter([("0.csv", "other")]))
    with pytest.raises(DataError, match="do not give the folder"):
        pack(raw, packed_folder(raw))
    assert json.loads((packed_folder(raw) / CONTENTS).read_text()) == before


def test_pack_command__and_back_for_a_case_of_conf(raw: Path, tmp_path: Path) -> None:
    for case in ("base", "birds"):
        (tmp_path / "conf" / case).mkdir(parents=True)
        (tmp_path / "conf" / case / "globals.yml").write_text(f"case: {case}\nraw: raw\n")
    runner, project = CliRunner(), SimpleNamespace(project_path=tmp_path)
    before = digests_below(raw)
    packed = runner.invoke(commands.pack, ["birds", "--no-dvc", "--json"], obj=project)
    assert packed.exit_code == 0, packed.output
    raw.rename(tmp_path / "away")
    back = runner.invoke(commands.unpack, ["birds", "--json"], obj=project)
    assert json.loads(back.stdout) == json.loads(packed.stdout)
    assert digests_below(raw) == before
    for other in ("base", "bird"):
        done = runner.invoke(commands.pack, [other, "--no-dvc"], obj=project)
        assert done.exit_code == 1 and f"no case {other!r}" in done.output
        assert "allowed: birds" in done.output
