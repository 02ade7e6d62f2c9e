"""Recognise boxes and masks: read by the options proposed, or refused by the format's name."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_sets import coco, ingest, mask, picture, read, text, voc, voc_object

from graft.vision.data.sources.foreign import FOREIGN
from graft.vision.data.sources.recognise import Recognition, recognise
from graft.vision.errors import DataError

PLAIN = np.zeros((30, 40), np.uint8)
ANT = voc_object("ant", 1, 2, 9, 12)


def found(root: Path, truth: str | None = None) -> Recognition:
    """Recognise, and read by what was proposed, as conf will hold it."""
    recognised = recognise(root, truth)
    assert len(read(root, **recognised.options).rows) > 0
    return recognised


def said(lines: list[str]) -> str:
    return "\n".join(lines)


@pytest.mark.parametrize("folder", ["", "set", "VOCdevkit/VOC2012"])
def test_recognise__finds_voc_with_its_splits(tmp_path: Path, folder) -> None:
    for number, split in enumerate(("train", "val", "test")):
        picture(tmp_path / folder / f"JPEGImages/{split}.jpg", seed=number)
        voc(tmp_path / folder / f"Annotations/{split}.xml", ANT)
        text(tmp_path / folder / f"ImageSets/Main/{split}.txt", split)
    recognised = found(tmp_path)
    assert (recognised.layout, recognised.truth) == ("voc", "boxes")
    assert recognised.options.get("folder", "") == folder
    assert "3 boxes of 1 classes: ant 3" in said(recognised.found)
    assert "given splits: test 1, train 1, val 1" in said(recognised.found)
    assert [doubt.split(" (")[0] for doubt in recognised.doubts] == ["images are small"]


def test_recognise__knows_the_original_pascal_voc_counts_from_one(tmp_path: Path) -> None:
    picture(tmp_path / "JPEGImages/a.jpg")
    source = "<source><database>The VOC2007 Database</database></source>"
    voc(tmp_path / "Annotations/a.xml", ANT, more=source)
    assert found(tmp_path).options["one_based"] is True


def test_recognise__finds_coco_and_names_its_files(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        picture(tmp_path / f"{split}/a.jpg")
        images = [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}]
        annotations = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}]
        coco(tmp_path / f"{split}/_annotations.coco.json", images, annotations)
    recognised = found(tmp_path)
    assert recognised.options == {
        "layout": "coco",
        "annotations": ["train/_annotations.coco.json", "valid/_annotations.coco.json"],
    }
    assert "categories have no box and are no class: bee" in said(recognised.doubts)


def test_recognise__finds_yolo_and_invents_names_where_none_are_given(tmp_path: Path) -> None:
    picture(tmp_path / "images/train/a.jpg")
    text(tmp_path / "labels/train/a.txt", "1 0.5 0.5 0.2 0.2\n")
    recognised = found(tmp_path)
    assert recognised.options == {"layout": "yolo", "class_names": ["class 0", "class 1"]}
    assert "class_names are invented" in said(recognised.doubts)
    text(tmp_path / "data.yaml", "names: [ant, bee]\ntrain: images/train\n")
    assert found(tmp_path).options == {"layout": "yolo"}


def test_recognise__finds_box_tables_and_their_unit(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.jpg")
    text(tmp_path / "boxes.csv", "image,label,xmin,ymin,xmax,ymax\na.jpg,ant,1,2,9,12\n")
    assert found(tmp_path).options == {"layout": "boxes_csv", "table": ["boxes.csv"]}
    text(tmp_path / "boxes.csv", "image,label,xmin,ymin,xmax,ymax\na.jpg,ant,0.1,0.2,0.9,1\n")
    recognised = found(tmp_path)
    assert recognised.options["box_unit"] == "share" and "shares" in said(recognised.doubts)


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (PLAIN + 2, {"class_names": ["class 0", "class 1", "class 2"]}),
        (PLAIN + 255, {"class_names": ["background", "foreground"], "mask_values": "binary"}),
    ],
)
def test_recognise__finds_mask_folders_and_invents_names(tmp_path: Path, values, options) -> None:
    values = values.copy()
    values[0] = 0
    for split in ("train", "test"):
        picture(tmp_path / f"{split}/images/{split}.jpg")
        mask(tmp_path / f"{split}/masks/{split}.png", values)
    recognised = found(tmp_path)
    assert recognised.options == {"layout": "masks", **options} and recognised.truth == "masks"
    assert "named" in said(recognised.doubts) or "invented" in said(recognised.doubts)
    ingested = ingest(tmp_path, tmp_path / "out", **recognised.options)
    assert len(ingested.manifest) == 2 and len(ingested.quarantine) == 0


def test_recognise__knows_binary_masks_in_a_gif(tmp_path: Path) -> None:
    values = PLAIN.copy()
    values[:9] = 255
    picture(tmp_path / "images/a.jpg")
    mask(tmp_path / "masks/a_mask.gif", values)
    recognised = found(tmp_path)
    assert recognised.options["mask_values"] == "binary"
    assert len(ingest(tmp_path, tmp_path / "out", **recognised.options).manifest) == 1


def test_recognise__knows_stacks_of_pages(tmp_path: Path) -> None:
    pages = [Image.fromarray(PLAIN + 255)] * 3
    for name in ("train-volume.tif", "train-labels.tif"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    recognised = found(tmp_path)
    assert recognised.options["mask_pages"] == "first"
    assert "masks hold 3 pages; only the first is used" in said(recognised.doubts)


def test_recognise__needs_names_for_colours_and_finds_them_in_a_table(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.jpg")
    mask(tmp_path / "masks/a.png", np.full((30, 40, 3), (128, 64, 128), np.uint8))
    with pytest.raises(DataError, match=r"mask folders whose colours nothing names.*label_colors"):
        recognise(tmp_path)
    text(tmp_path / "label_colors.txt", "128 64 128 road\n0 0 0 void\n")
    assert found(tmp_path).options == {"layout": "masks"}


@pytest.mark.parametrize(
    ("image", "truth", "convention"),
    [
        ("train/a.png", "trainannot/a.png", "camvid"),
        ("JPEGImages/a.jpg", "SegmentationClass/a.png", "voc"),
        (
            "leftImg8bit/val/u/u_1_2_leftImg8bit.png",
            "gtFine/val/u/u_1_2_gtFine_labelIds.png",
            "cityscapes",
        ),
        ("images/training/a.jpg", "annotations/training/a.png", "ade"),
    ],
)
def test_recognise__knows_well_known_habits(tmp_path: Path, image, truth, convention) -> None:
    picture(tmp_path / image)
    mask(tmp_path / truth, PLAIN + 1)
    assert found(tmp_path).options["convention"] == convention


def test_recognise__finds_instances_and_polygons_as_boxes_or_as_masks(tmp_path: Path) -> None:
    picture(tmp_path / "fudan/PNGImages/a.png")
    mask(tmp_path / "fudan/PedMasks/a_mask.png", PLAIN + 1)
    picture(tmp_path / "labelme/a.jpg")
    shape = {"label": "ant", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"}
    record = {"shapes": [shape], "imageWidth": 40, "imageHeight": 30}
    text(tmp_path / "labelme/a.json", json.dumps(record))
    for folder, layout in (("fudan", "instances"), ("labelme", "labelme")):
        as_boxes, as_masks = (found(tmp_path / folder, truth) for truth in (None, "masks"))
        assert (as_boxes.layout, as_boxes.truth) == (layout, "boxes")
        assert (as_masks.layout, as_masks.truth) == (layout, "masks")
        assert as_masks.options["truth"] == "masks"
    assert found(tmp_path / "fudan").options["class_names"] == ["pedestrian"]


def test_recognise__asks_which_of_several_data_sets_is_meant(tmp_path: Path) -> None:
    for name in ("one", "two"):
        picture(tmp_path / name / "JPEGImages/a.jpg")
        voc(tmp_path / name / "Annotations/a.xml", ANT)
    with pytest.raises(DataError, match=r"several data sets.*one \(voc\), two \(voc\)"):
        recognise(tmp_path)


def test_recognise__gives_only_the_truth_that_is_asked_for(tmp_path: Path) -> None:
    picture(tmp_path / "JPEGImages/a.jpg")
    voc(tmp_path / "Annotations/a.xml", ANT)
    with pytest.raises(DataError, match="no masks are recognised"):
        recognise(tmp_path, "masks")
    with pytest.raises(DataError, match="is not recognised"):
        recognise(tmp_path, "classes")
    mask(tmp_path / "SegmentationClass/a.png", PLAIN)
    assert found(tmp_path).layout == "voc"
    assert found(tmp_path, "masks").options == {"layout": "masks", "convention": "voc"}


def test_recognise__proposes_series_as_groups(tmp_path: Path) -> None:
    for number in range(24):
        picture(tmp_path / f"d{number // 6}_{number}.jpg", seed=number)
        voc(tmp_path / f"d{number // 6}_{number}.xml", ANT)
    recognised = found(tmp_path)
    groups = {row.group for row in read(tmp_path, **recognised.options).rows}
    assert groups == {"d0", "d1", "d2", "d3"}


def test_recognise__leaves_class_folders_alone(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        picture(tmp_path / name / "1.jpg")
        text(tmp_path / name / "notes.txt", "0.5 of them are red\n")
    assert recognise(tmp_path).options == {"layout": "folders"}


def test_recognise__finds_no_classes_in_the_parts_of_a_data_set(tmp_path: Path) -> None:
    picture(tmp_path / "images/1.jpg")
    picture(tmp_path / "labels/2.jpg")
    with pytest.raises(DataError, match="is not recognised"):
        recognise(tmp_path)


# --- real data -----------------------------------------------------------------------------------


def test_recognise__knows_bccd_car_coco_and_camvid(real_data: Path) -> None:
    bccd = recognise(real_data / "bccd")
    assert bccd.options == {"layout": "voc", "folder": "BCCD"}
    assert "4888 boxes of 3 classes: RBC 4155, WBC 372, Platelets 361" in said(bccd.found)
    assert "test.csv also lists boxes: not used" in said(bccd.doubts)
    cars = recognise(real_data / "car_coco")
    assert cars.layout == "coco" and len(cars.options["annotations"]) == 3
    assert "no class: cdf" in said(cars.doubts)
    camvid = recognise(real_data / "camvid")
    assert camvid.options == {"layout": "masks", "folder": "CamVid", "convention": "camvid"}
    assert "0016E5 (train 204, val 101)" in said(camvid.doubts)


READ = {
    "camvid_dataset": "masks",
    "cityscapes_dataset/dataset": "masks",
    "cityscapes_dataset/train_dataset": "masks",
    "coco_dataset/coco": "coco",
    "coco_dataset/coco_instances": "coco",
    "coco_dataset/coco_person_keypoints": "coco",
    "coco_dataset/coco_roboflow": "coco",
    "coco_dataset/mmdet_coco": "coco",
    "common_semantic_segmentation_dataset/dataset": "masks",
    "common_semantic_segmentation_dataset/non_standard_dataset": "masks",
    "imagenet_dataset": "folders",
    "imagenet_subsets_dataset": "folders",
    "kaggle_dataset/image_csv": "table",
    "kaggle_dataset/image_csv_det": "boxes_csv",
    "kaggle_dataset/image_csv_multi_label": "table",
    "kaggle_dataset/image_mask": "masks",
    "kaggle_dataset/image_mask_with_labelmap": "masks",
    "kaggle_dataset/relaxed_coco": "coco",
    "kaggle_dataset/relaxed_voc1": "voc",
    "kaggle_dataset/relaxed_voc2": "voc",
    "kaggle_dataset/relaxed_yolo": "yolo",
    "labelme_dataset": "labelme",
    "roboflow_dataset/coco": "coco",
    "roboflow_dataset/voc": "voc",
    "roboflow_dataset/yolo": "yolo",
    "synthia_dataset/rand_custom_labelmap": "masks",
    "synthia_dataset/rand_meta_file": "masks",
    "voc_dataset/voc_dataset1": "voc",
    "voc_dataset/voc_dataset3": "voc",
    "vott_csv_dataset/dataset": "boxes_csv",
    "vott_csv_dataset/dataset_with_meta_file": "boxes_csv",
    "yolo_dataset/annotations": "yolo",
    "yolo_dataset/labels": "yolo",
    "yolo_dataset/strict": "yolo",
}
REFUSED = {
    "ade20k2017_dataset/dataset": "ADE20K in full",
    "ade20k2017_dataset/dataset_with_meta_file": "ADE20K in full",
    "ade20k2020_dataset/dataset": "ADE20K in full",
    "ade20k2020_dataset/dataset_with_meta_file": "ADE20K in full",
    "align_celeba_dataset": "CelebA",
    "ava_dataset": "AVA actions",
    "brats_dataset": "NIfTI volumes",
    "brats_numpy_dataset": "BraTS",
    "celeba_dataset": "CelebA",
    "coco_dataset/coco_captions": "COCO files without boxes",
    "coco_dataset/coco_image_info": "COCO files without boxes",
    "coco_dataset/coco_labels": "COCO files without boxes",
    "coco_dataset/coco_panoptic": "COCO files without boxes.*panoptic",
    "coco_dataset/coco_stuff": "COCO files without boxes.*stuff",
    "common_super_resolution_dataset": "super resolution pairs",
    "cvat_dataset": "CVAT XML",
    "datumaro_dataset/legacy": "Datumaro JSON",
    "dota_dataset": "DOTA",
    "icdar_dataset": "ICDAR text",
    "image_dir_dataset": "nothing says what the images show",
    "image_zip_dataset": "archives",
    "imagenet_txt_dataset": "ImageNet list files",
    "kaggle_dataset/image_txt": "a list of names and classes without a header",
    "kaggle_dataset/image_txt_det": "a list of names and classes without a header",
    "kinetics_dataset": "annotations without their images|videos",
    "kitti_dataset/kitti_3d": "KITTI",
    "kitti_dataset/kitti_detection": "KITTI",
    "kitti_dataset/kitti_raw": "KITTI raw",
    "kitti_dataset/kitti_segmentation": "KITTI",
    "lfw_dataset": "LFW",
    "mapillary_vistas_dataset": "Mapillary Vistas",
    "market1501_dataset": "Market-1501",
    "mars_dataset": "MARS",
    "mnist_csv_dataset": "MNIST",
    "mnist_dataset": "MNIST",
    "mot_dataset": "MOT sequences",
    "mots_dataset": "MOTS",
    "mpii_dataset": "MPII key points",
    "mpii_json_dataset": "MPII key points",
    "mvtec_dataset": "MVTec AD",
    "nyu_depth_v2_dataset": "NYU depth",
    "open_images_dataset/v5": "Open Images",
    "open_images_dataset/v6": "Open Images",
    "roboflow_dataset/createml": "CreateML JSON",
    "roboflow_dataset/multiclass": "a table of classes per split",
    "roboflow_dataset/tfrecord": "TFRecord",
    "roboflow_dataset/yolo_obb": "oriented boxes",
    "segment_anything_dataset": "Segment Anything JSON",
    "synthetic_dataset": "is not recognised",
    "synthia_dataset/al": "SYNTHIA",
    "synthia_dataset/rand": "SYNTHIA",
    "synthia_dataset/sf": "SYNTHIA",
    "tf_detection_api_dataset": "TFRecord",
    "vgg_face2_dataset": "VGGFace2",
    "voc_dataset/voc_dataset2": "annotations without their images",
    "vott_json_dataset/dataset": "VoTT JSON",
    "vott_json_dataset/dataset_with_meta_file": "VoTT JSON",
    "widerface_dataset": "WIDER FACE",
}
SETS_BELOW = {
    "cityscapes_dataset",
    "coco_dataset",
    "common_semantic_segmentation_dataset",
    "kaggle_dataset",
    "roboflow_dataset",
    "voc_dataset",
    "vott_csv_dataset",
    "synthia_dataset",
}


@pytest.mark.parametrize("name", READ)
def test_recognise__reads_this_real_format(real_data: Path, tmp_path: Path, name) -> None:
    root = real_data / "datumaro_formats" / name
    recognised = found(root)
    assert recognised.layout == READ[name]
    ingested = ingest(root, tmp_path, **recognised.options)
    assert len(ingested.manifest) > 0
    assert ingested.manifest["truth"].str.contains('"classes"').all()


@pytest.mark.parametrize("name", REFUSED)
def test_recognise__refuses_this_real_format_by_its_name(real_data: Path, name) -> None:
    with pytest.raises(DataError, match=REFUSED[name]):
        recognise(real_data / "datumaro_formats" / name)


def test_recognise__passes_over_no_real_format(real_data: Path) -> None:
    """Each tree is read or refused by name above, whole or by the data sets below it."""
    formats = real_data / "datumaro_formats"
    known = {*READ, *REFUSED}
    for tree in sorted(path for path in formats.iterdir() if path.is_dir()):
        below = {f"{tree.name}/{path.name}" for path in tree.iterdir() if path.is_dir()}
        assert tree.name in known or below & known, tree.name
    for name in SETS_BELOW:
        with pytest.raises(DataError, match="several data sets"):
            recognise(formats / name)


def test_foreign__has_a_name_and_a_mend_for_each_format() -> None:
    names = [form.name for form in FOREIGN]
    assert len(set(names)) == len(names) and all(form.mend for form in FOREIGN)
