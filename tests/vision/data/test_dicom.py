"""DICOM: decoded by the stated rule or refused with a reason, and nothing told of a person."""

import contextlib
import io
import logging
import struct
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
)
from tiny_sets import ingest, text

from graft.vision.data.decoding import Decoded, DecodingOptions, decode
from graft.vision.data.sources.folders import is_image
from graft.vision.errors import UnusableImageError

RULE = DecodingOptions(channels=1)
RAMP = np.arange(-200, 300, dtype=np.int16).reshape(20, 25)
NAME = "Doe^Jane"


def dicom(pixels: np.ndarray, bits: int | None = None, **header: Any) -> bytes:
    """A DICOM file of a patient with a name; pixels (H, W), (H, W, 3) or with frames in front."""
    data = Dataset()
    data.PatientName, data.PatientID = NAME, "ID-4711"
    colour = pixels.shape[-1] == 3
    data.Rows, data.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    data.SamplesPerPixel = 3 if colour else 1
    data.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        data.PlanarConfiguration = 0
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored = bits or data.BitsAllocated
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    frames = pixels.ndim - 2 - colour
    if frames:
        data.NumberOfFrames = pixels.shape[0]
    data.PixelData = pixels.tobytes()
    syntax = header.pop("syntax", ExplicitVRLittleEndian)
    for name, value in header.items():
        setattr(data, name, value)
    data["PixelData"].VR = "OW" if data.BitsAllocated > 8 else "OB"
    return saved(data, syntax)


def saved(data: Dataset, syntax: str) -> bytes:
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    out = io.BytesIO()
    pydicom.dcmwrite(out, data, enforce_file_format=True)
    return out.getvalue()


def grey(data: bytes, **options: Any) -> np.ndarray:
    return decode(data, DecodingOptions(channels=1, **options)).pixels[:, :, 0]


def reason(data: bytes, **options: Any) -> str:
    with pytest.raises(UnusableImageError) as refusal:
        decode(data, DecodingOptions(**options))
    return str(refusal.value)


# --- grey ----------------------------------------------------------------------------------------


def test_dicom__rescales_and_windows_at_full_depth() -> None:
    stored = (RAMP + 1000).astype(np.uint16)
    data = dicom(
        stored, 12, RescaleSlope=1, RescaleIntercept=-1000, WindowCenter=40, WindowWidth=100
    )
    share = (RAMP - (40 - 0.5)) / (100 - 1) + 0.5  # PS3.3 C.11.2.1.2.1
    expected = np.round(255 * np.clip(share, 0, 1)).astype(np.uint8)
    np.testing.assert_array_equal(grey(data), expected)
    assert len(np.unique(expected)) == 100  # a step for each of the window's values
    assert decode(data, RULE).notes == ("DICOM window from -10..90",)


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_dicom__knows_the_functions_of_windows(function) -> None:
    data = dicom(RAMP, WindowCenter=[40, 0], WindowWidth=[100, 5], VOILUTFunction=function)
    share = (RAMP - 40) / 100 + 0.5
    if function == "SIGMOID":
        share = 1 / (1 + np.exp(-4 * (RAMP - 40) / 100))
    expected = np.round(255 * np.clip(share, 0, 1))
    assert np.abs(grey(data).astype(int) - expected).max() <= 1


def test_dicom__takes_the_full_range_without_a_window_or_with_one_that_shows_nothing() -> None:
    expected = np.round((RAMP + 200.0) * 255 / 499).astype(np.uint8)
    np.testing.assert_array_equal(grey(dicom(RAMP)), expected)
    nothing = dicom(RAMP, WindowCenter=9000, WindowWidth=10)
    np.testing.assert_array_equal(grey(nothing), expected)
    assert any("nothing is seen" in note for note in decode(nothing, RULE).notes)
    np.testing.assert_array_equal(grey(dicom(RAMP, WindowCenter=4, WindowWidth=0)), expected)


def test_dicom__of_eight_bits_is_as_it_is_and_of_fewer_is_spread() -> None:
    eight = np.arange(7, 107, dtype=np.uint8).reshape(10, 10)
    np.testing.assert_array_equal(grey(dicom(eight)), eight)
    four = np.arange(0, 16, dtype=np.uint8).reshape(4, 4)
    np.testing.assert_array_equal(grey(dicom(four, 4)), four * 17)


def test_dicom__inverts_monochrome1() -> None:
    eight = np.arange(100, dtype=np.uint8).reshape(10, 10)
    data = dicom(eight, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(grey(data), 255 - eight)


def test_dicom__makes_padding_black_and_leaves_it_out_of_the_range() -> None:
    padded = RAMP.copy()
    padded[:, :3] = -2000
    data = dicom(padded, PixelPaddingValue=-2000)
    low, high = int(RAMP[:, 3:].min()), int(RAMP[:, 3:].max())
    expected = np.round((RAMP[:, 3:] - float(low)) * 255 / (high - low))
    found = grey(data)
    assert (found[:, :3] == 0).all()
    np.testing.assert_array_equal(found[:, 3:], expected)
    inverted = grey(dicom(padded, PixelPaddingValue=-2000, PhotometricInterpretation="MONOCHROME1"))
    assert (inverted[:, :3] == 0).all() and inverted[0, 3] == 255


def test_dicom__reads_rescale_and_window_of_the_first_frame() -> None:
    part, window, values = Dataset(), Dataset(), Dataset()
    window.WindowCenter, window.WindowWidth = 40, 100
    values.RescaleSlope, values.RescaleIntercept = 2, -10
    part.FrameVOILUTSequence = Sequence([window])
    part.PixelValueTransformationSequence = Sequence([values])
    frames = np.stack([RAMP, RAMP])
    data = dicom(frames, PerFrameFunctionalGroupsSequence=Sequence([part, Dataset()]))
    share = (RAMP * 2.0 - 10 - 39.5) / 99 + 0.5
    expected = np.round(255 * np.clip(share, 0, 1)).astype(np.uint8)
    np.testing.assert_array_equal(grey(data, frames="first"), expected)


def test_dicom__of_one_bit_is_black_and_white() -> None:
    bits = np.zeros((16, 16), np.uint8)
    bits[3:9, 4:10] = 1
    data = dicom(bits)
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.PixelData = np.packbits(bits.ravel(), bitorder="little").tobytes()
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = 0
    np.testing.assert_array_equal(grey(saved(dataset, ExplicitVRLittleEndian)), bits * 255)


@settings(max_examples=60, deadline=None)
@given(
    bits=st.integers(9, 16),
    slope=st.sampled_from([-2.0, -1.0, 0.5, 1.0, 3.0]),
    intercept=st.integers(-1024, 1024),
    window=st.none() | st.tuples(st.integers(-2000, 2000), st.integers(1, 4000)),
    seed=st.integers(0, 9),
)
def test_dicom__is_monotonous_in_what_was_measured(bits, slope, intercept, window, seed) -> None:
    stored = np.random.default_rng(seed).integers(0, 2**bits, (6, 7)).astype(np.uint16)
    header = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    if window:
        header |= {"WindowCenter": window[0], "WindowWidth": window[1]}
    found = grey(dicom(stored, bits, **header)).ravel().astype(int)
    order = np.argsort(stored.ravel() * slope + intercept, kind="stable")
    assert (np.diff(found[order]) >= 0).all() and found.min() < found.max()


# --- colour, frames, encodings -------------------------------------------------------------------


def test_dicom__reads_colour_in_rgb_ybr_and_palettes() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    np.testing.assert_array_equal(decode(dicom(colours), DecodingOptions()).pixels, colours)
    ybr = np.asarray(Image.fromarray(colours).convert("YCbCr"))
    found = decode(dicom(ybr, PhotometricInterpretation="YBR_FULL"), DecodingOptions())
    assert np.abs(found.pixels.astype(int) - colours).max() <= 3
    assert found.notes == ("converted from YBR_FULL",) and found.channels == 3
    assert "colour space" in reason(dicom(colours, PhotometricInterpretation="CMYK"))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_dicom__reads_palettes_in_both_byte_orders(syntax) -> None:
    data = pydicom.dcmread(io.BytesIO(dicom(np.array([[0, 1], [2, 0]], np.uint8))))
    data.PhotometricInterpretation = "PALETTE COLOR"
    order = "<u2" if syntax == ExplicitVRLittleEndian else ">u2"
    for place, name in enumerate(("Red", "Green", "Blue")):
        levels = (np.eye(3)[place] * 65280).astype(order)
        data.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [3, 0, 16])
        data.add_new(f"{name}PaletteColorLookupTableData", "OW", levels.tobytes())
    out = io.BytesIO()
    data.file_meta.TransferSyntaxUID = syntax
    little = syntax == ExplicitVRLittleEndian
    pydicom.dcmwrite(out, data, implicit_vr=False, little_endian=little, force_encoding=True)
    found = decode(out.getvalue(), DecodingOptions()).pixels
    np.testing.assert_array_equal(found, np.eye(3)[[[0, 1], [2, 0]]] * 255)


def test_dicom__of_several_frames_is_refused_or_its_first_is_taken() -> None:
    frames = np.arange(200, dtype=np.uint8).reshape(2, 10, 10)
    assert "several frames" in reason(dicom(frames))
    np.testing.assert_array_equal(grey(dicom(frames), frames="first"), frames[0])


def test_dicom__of_more_than_eight_bits_can_be_refused() -> None:
    assert "more than 8 bits per channel (DICOM, 12 bits)" in reason(dicom(RAMP, 12), wide="refuse")
    assert grey(dicom(np.full((4, 4), 9, np.uint8)), wide="refuse").max() == 9


def test_dicom__reads_compressed_pixels() -> None:
    eight = np.kron(np.arange(16, dtype=np.uint8).reshape(4, 4) * 16, np.ones((4, 4), np.uint8))
    out = io.BytesIO()
    Image.fromarray(eight).save(out, "JPEG2000", no_jp2=True)
    data = dicom(eight, PixelData=encapsulate([out.getvalue()]), syntax=JPEG2000Lossless)
    np.testing.assert_array_equal(grey(data), eight)
    out = io.BytesIO()
    Image.fromarray(eight).save(out, "JPEG", quality=95)
    data = dicom(eight, PixelData=encapsulate([out.getvalue()]), syntax=JPEGBaseline8Bit)
    assert np.abs(grey(data).astype(int) - eight).max() < 20


def test_dicom__names_the_transfer_syntax_that_nothing_installed_decodes() -> None:
    data = dicom(RAMP, PixelData=encapsulate([b"\xff\xd8" * 9]), syntax=JPEGLSLossless)
    words = reason(data)
    assert "'JPEG-LS Lossless Image Compression', for which no decoder is installed" in words
    assert "next: convert the file" in words


# --- bounds and damage ---------------------------------------------------------------------------


def test_dicom__refuses_what_is_too_large_before_it_decodes() -> None:
    assert "too many pixels; found: 25x20" in reason(dicom(RAMP), max_pixels=499)
    out = io.BytesIO()
    Image.fromarray(np.zeros((400, 400), np.uint8)).save(out, "JPEG2000", no_jp2=True)
    small = np.zeros((4, 4), np.uint8)  # the header's word; the pixels say otherwise
    data = dicom(small, PixelData=encapsulate([out.getvalue()]), syntax=JPEG2000Lossless)
    assert "too many pixels; found: 400x400" in reason(data, max_pixels=1000)


def test_dicom__refuses_a_deflated_file_that_unpacks_to_too_much() -> None:
    head = dicom(RAMP, syntax="1.2.840.10008.1.2.1.99")
    meta = 144 + struct.unpack("<I", head[140:144])[0]
    packer = zlib.compressobj(wbits=-15)
    bomb = head[:meta] + packer.compress(b"\0" * 9_000_000) + packer.flush()
    began = time.perf_counter()
    assert "unpacks to too much" in reason(bomb, max_pixels=1_000_000)
    assert time.perf_counter() - began < 5
    assert grey(head).shape == RAMP.shape


def test_dicom__refuses_files_without_pixels_or_cut_short() -> None:
    dataset = pydicom.dcmread(io.BytesIO(dicom(RAMP)))
    dataset.Modality = "RTPLAN"
    del dataset.PixelData
    assert "without pixel data (RTPLAN)" in reason(saved(dataset, ExplicitVRLittleEndian))
    dataset = pydicom.dcmread(io.BytesIO(dicom(RAMP)))
    dataset.PixelData = dataset.PixelData[:-10]
    words = reason(saved(dataset, ExplicitVRLittleEndian))
    assert "cut short (990 of 1000 bytes)" in words
    del dataset.Rows
    assert "without Rows" in reason(saved(dataset, ExplicitVRLittleEndian))
    assert "constant" in reason(dicom(np.full((4, 4), 7, np.int16)))


def test_dicom__reads_files_that_lack_the_mark() -> None:
    data = dicom(RAMP)
    np.testing.assert_array_equal(grey(data[132:]), grey(data))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cuts=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10**6), st.binary(max_size=4))))
def test_dicom__ends_in_pixels_or_in_a_refusal_whatever_is_damaged(cuts) -> None:
    data = bytearray(dicom(RAMP, 12, WindowCenter=40, WindowWidth=100))
    for kind, place, change in cuts:
        at = 132 + place % max(1, len(data) - 132)
        if kind:
            data[at : at + len(change)] = change
        else:
            del data[at : at + len(change)]
    with contextlib.suppress(UnusableImageError):
        assert isinstance(decode(bytes(data), RULE), Decoded)


# --- people --------------------------------------------------------------------------------------


def test_dicom__tells_nothing_of_a_person(tmp_path: Path, caplog, recwarn) -> None:
    """Neither the manifest, nor the quarantine, nor the log, nor a warning holds the name."""
    caplog.set_level(logging.DEBUG)
    for folder, name, data in (
        ("ill", "a.dcm", dicom(RAMP, WindowCenter=40, WindowWidth=100)),
        ("ill", "b.dcm", dicom(RAMP)[:-400]),
        ("well", "1.2.840.113619", dicom(RAMP)),
        ("well", "c.dcm", dicom(RAMP, PhotometricInterpretation=NAME, Modality=NAME)),
        ("well", "d.dcm", dicom(RAMP).replace(b"MONOCHROME2", NAME.encode().ljust(11))),
    ):
        (tmp_path / "raw" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / folder / name).write_bytes(data)
    ingested = ingest(tmp_path / "raw", tmp_path, layout="folders")
    assert set(ingested.manifest["id"]) == {"ill/a.dcm", "well/1.2.840.113619"}
    told = [ingested.manifest.to_csv(), ingested.quarantine.to_csv(), *ingested.findings]
    told += [caplog.text, *(str(warning.message) for warning in recwarn)]
    for secret in ("Jane", "Doe", "4711"):
        assert not any(secret in line for line in told)
    assert len(ingested.quarantine) == 3


def test_is_image__knows_dicom_without_an_ending(tmp_path: Path) -> None:
    for name in ("IM000001", "1.2.840.113619.2.55"):
        (tmp_path / name).write_bytes(dicom(RAMP))
        assert is_image(tmp_path / name)
    assert is_image(tmp_path / "any.dcm")
    assert not is_image(text(tmp_path / "README", "about"))
    assert not is_image(tmp_path)


# --- real files ----------------------------------------------------------------------------------


def test_dicom__decodes_each_real_file_by_rule_or_refuses_it_with_a_reason(real_data: Path) -> None:
    files = sorted((real_data / "dicom").rglob("*.dcm"))
    assert len(files) == 164
    decoded: dict[str, Decoded] = {}
    refused: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in files:
            began = time.process_time()
            try:
                decoded[file.name] = decode(file.read_bytes(), DecodingOptions(frames="first"))
            except UnusableImageError as error:
                refused[file.name] = str(error)
            assert time.process_time() - began < 20
    assert len(decoded) == 114 and len(refused) == 50
    assert all(str(found) for found in refused.values())
    bars = decoded["SC_rgb.dcm"].pixels
    for name, found in decoded.items():
        assert found.pixels.dtype == np.uint8 and found.pixels.min() < found.pixels.max()
        if name.startswith("SC_rgb") and found.pixels.shape == bars.shape:
            assert np.abs(found.pixels.astype(int) - bars).mean() < 3, name
    for one, other in (
        ("MR_small.dcm", "MR_small_bigendian.dcm"),
        ("MR_small.dcm", "MR_small_RLE.dcm"),
        ("MR_small.dcm", "MR_small_jp2klossless.dcm"),
        ("emri_small.dcm", "emri_small_big_endian.dcm"),
        ("OBXXXX1A.dcm", "OBXXXX1A_expb.dcm"),
        ("OBXXXX1A.dcm", "OBXXXX1A_rle.dcm"),
        ("liver.dcm", "liver_expb.dcm"),
        ("rtdose.dcm", "rtdose_rle.dcm"),
        ("color-pl.dcm", "color-px.dcm"),
    ):
        np.testing.assert_array_equal(decoded[one].pixels, decoded[other].pixels)
    syntaxes = ("JPEG-LS", "High-Throughput JPEG 2000", "JPEG Lossless", "1.2.840.10008.1.2.8.1")
    for syntax in syntaxes:
        assert any(syntax in found and "no decoder" in found for found in refused.values())
