"""Networks of every kind that may be looked into, and those that can't be: what is asked for and does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy
import pytest
import torch
from support import shapes

import lska_surgeon
from lska_surgeon.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from lska_surgeon.errors import SurgeonError
from lska_surgeon.yolo.build import build
from lska_surgeon.yolo.environment import import_offline

#: Classifies: its output layer reads one map, of stride 4.
CLASSES = """\
nc: 2
backbone:
  - [-1, 1, Conv, [8, 3, 2]] # 0
  - [-1, 1, Conv, [16, 3, 2]] # 1
head:
  - [-1, 1, Classify, [nc]] # 2
"""
#: Row 1 gives a list of maps.
LISTS = """\
nc: 2
backbone:
  - [-1, 1, Conv, [8, 3, 2]] # 0
  - [-1, 1, CBLinear, [[4, 8]]] # 1
  - [0, 1, Conv, [8, 3, 2]] # 2
  - [[1, -1], 1, CBFuse, [[1]]] # 3
head:
  - [[-1], 1, Detect, [nc]] # 4
"""
#: Its output layer has one stride for its three inputs.
QUERIES = """\
nc: 2
backbone:
  - [-1, 1, Conv, [32, 3, 2]] # 0
  - [-1, 1, Conv, [32, 3, 2]] # 1
  - [-1, 1, Conv, [32, 3, 2]] # 2
  - [-1, 1, Conv, [32, 3, 2]] # 3
  - [-1, 1, Conv, [32, 3, 2]] # 4
head:
  - [[2, 3, 4], 1, RTDETRDecoder, [nc, 32, 20, 4, 4, 1]] # 5
"""


def save(folder: Path, text: str, to: str) -> Path:
    """A network as a checkpoint, at its random init."""
    (folder / "network.yaml").write_text(text, encoding="utf-8")
    torch.manual_seed(0)
    torch.serialization.save({"model": build(folder / "network.yaml").eval()}, folder / to)
    return folder / to


def reading(folder: Path, channels: int) -> Path:
    """The small network for images of so many channels."""
    torch.manual_seed(0)
    model = import_offline().DetectionModel(str(shapes.write_network(folder)), ch=channels, verbose=False)
    torch.serialization.save({"model": model.eval()}, folder / "reading.pt")
    return folder / "reading.pt"


def colours(folder: Path) -> Path:
    """A folder with one image, blue on the left and red on the right."""
    (folder / "images").mkdir()
    pixels = numpy.zeros((64, 64, 3), numpy.uint8)
    pixels[:, :32, 0] = pixels[:, 32:, 2] = 255
    cv2.imwrite(str(folder / "images" / "a.png"), pixels)
    return folder / "images"


GATES = "gates=True shows every operator, wherever it is: leave level= and layer= out"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"imgsz": 0}, "imgsz 0 is out of range: give a side of 32 to 4096 pixels"),
        ({"most": 0}, "most 0 is out of range: give 1 or more images"),
        ({"gates": True, "level": "p9"}, GATES),
        ({"gates": True, "layer": 2}, GATES),
    ],
)
def test_what_makes_no_look_is_said_before_any_file_is_read(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(SurgeonError) as caught:
        lska_surgeon.erf("nowhere.pt", **{"imgsz": 64, **asked})
    assert str(caught.value) == message


def test_a_size_that_fits_no_stride_ends_the_command_with_one_line(tmp_path: Path) -> None:
    path = shapes.graft(shapes.write_checkpoint(tmp_path), "after:2")
    for words in ([], ["--gates"]):
        result = shapes.surgeon("erf", path, "--imgsz", 100, *words)
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert "--imgsz 100 is no multiple of graft.pt's stride 8: take one, such as 104" in result.stderr


def test_a_network_that_does_not_run_is_said_in_one_line(tmp_path: Path) -> None:
    """Two maps of different sizes meet, whatever the image."""
    path = shapes.write_checkpoint(tmp_path)
    data = read_checkpoint(path).data
    data["model"].model[3].conv.stride = (1, 1)
    write_checkpoint(tmp_path / "odd.pt", data)
    with pytest.raises(SurgeonError, match=r"odd.pt can't be run on an image of 64x64: RuntimeError: Sizes of tens"):
        lska_surgeon.erf(tmp_path / "odd.pt", imgsz=64)


def test_weights_that_are_not_finite_are_named_and_nothing_is_drawn(tmp_path: Path) -> None:
    path = shapes.graft(shapes.write_checkpoint(tmp_path), "after:2")
    data = read_checkpoint(path).data
    with torch.no_grad():
        data["model"].model[4].conv.weight[0] = float("nan")
    write_checkpoint(tmp_path / "nan.pt", data)
    for words in ([], ["--gates"]):
        result = shapes.surgeon("erf", path, tmp_path / "nan.pt", "--imgsz", 64, "-o", tmp_path / "a.png", *words)
        assert result.exit_code == 2
        assert "nan.pt has 1 tensor not finite (model.4.conv.weight)" in result.stderr
        assert result.stderr.count("\n") == 1
        assert not (tmp_path / "a.png").exists()
    result = shapes.surgeon("graft", tmp_path / "nan.pt", "--at", "after:2", "-o", tmp_path / "b.pt")
    assert result.exit_code == 0
    assert "(model.4.conv.weight): it predicts nothing, so equal outputs say nothing of the graft" in result.stderr


def test_a_network_of_one_channel_sees_images_in_grey(tmp_path: Path) -> None:
    grey = reading(tmp_path, 1)
    found = lska_surgeon.erf(grey, images=colours(tmp_path), imgsz=64)
    (image,) = found.images
    assert found.notes == ()
    assert repr(found) == "<Insight reading.pt, seen through 1 image of 64x64>"
    assert image.tensor.shape == (1, 1, 64, 64)
    left, right = (float(image.tensor[..., 32, column]) for column in (8, 56))
    assert (left, right) == pytest.approx((0.114, 0.299), abs=0.01)  # what ITU-R BT.601 makes of blue and of red


def test_a_network_of_three_channels_sees_red_first(tmp_path: Path) -> None:
    (image,) = lska_surgeon.erf(reading(tmp_path, 3), images=colours(tmp_path), imgsz=64).images
    assert image.tensor[0, :, 32, 8].tolist() == [0, 0, 1]
    assert image.tensor[0, :, 32, 56].tolist() == [1, 0, 0]


@pytest.mark.parametrize("first", ["many", "graft"])
def test_noise_beside_images_is_said_and_drawn(first: str, tmp_path: Path) -> None:
    shapes.write_checkpoint(tmp_path)
    paths = [shapes.graft(tmp_path / "base.pt", "neck"), shapes.graft(reading(tmp_path, 4), "neck", to="many.pt")]
    paths.sort(key=lambda path: path.stem != first)
    found = lska_surgeon.erf(paths, gates=True, images=colours(tmp_path), imgsz=64)
    said = "many.pt reads 4 channels, which no image has: looked through noise instead"
    assert said in found.notes
    assert {image.name for image in found.images} == {"a.png", *(f"noise {number}" for number in range(8))}
    text = found.write(tmp_path / "gates.svg").read_text(encoding="utf-8")
    assert all(name in text for name in ("a.png", "noise 0", "noise 3"))
    assert said in lska_surgeon.erf(paths, images=tmp_path / "images", imgsz=64).notes


def test_a_layer_that_gives_several_maps_sees_what_they_see(tmp_path: Path) -> None:
    path = save(tmp_path, LISTS, "lists.pt")
    found = lska_surgeon.erf(path, layer=[0, 1], imgsz=64)
    first, lists = found.fields
    assert [field.layer for field in lska_surgeon.erf(path, imgsz=64).fields] == [3]  # what -1 is in its last row
    assert (
        numpy.flatnonzero(lists.contribution.sum(0)).tolist() == numpy.flatnonzero(first.contribution.sum(0)).tolist()
    )
    model = read_checkpoint(path).float_model()
    for parameter in model.model[1].parameters():
        parameter.data.zero_()
    data = read_checkpoint(path).data
    data["model"] = model
    write_checkpoint(tmp_path / "still.pt", data)
    (none,) = lska_surgeon.erf(tmp_path / "still.pt", layer=1, imgsz=64).fields
    assert not none.contribution.any()


@pytest.mark.parametrize(("text", "levels"), [(CLASSES, ["p2"]), (QUERIES, ["p3", "p4", "p5"])])
def test_levels_have_their_names_whatever_the_output_layer(text: str, levels: list[str], tmp_path: Path) -> None:
    path = save(tmp_path, text, "model.pt")
    assert [one.at for one in lska_surgeon.erf(path, imgsz=64).fields] == levels
    assert [one.at for one in lska_surgeon.erf(path, level=levels[-1], imgsz=64).fields] == levels[-1:]


def test_places_add_up_however_they_are_given(tmp_path: Path) -> None:
    path = shapes.write_checkpoint(tmp_path)
    words = ["--level", "p2", "--level", "p3,p2", "--layer", "2", "--imgsz", "64", "--json"]
    result = shapes.surgeon("erf", path, *words)
    assert result.exit_code == 0, result.output
    assert [line.split('"')[3] for line in result.stdout.split("\n") if '"at":' in line] == ["p2", "p3", "layer 2"]


def test_the_strip_of_images_and_the_table(tmp_path: Path) -> None:
    shapes.graft(shapes.write_checkpoint(tmp_path), "neck")
    shapes.write_data(tmp_path)
    words = ["erf", "graft.pt", "--gates", "--images", "images/train", "--imgsz", "64", "-o", "gates.svg"]
    result = shapes.surgeon(*words)
    assert result.exit_code == 0, result.output
    assert "lska model.9" in result.stdout
    assert result.stdout.endswith("Wrote gates.svg\n")
    text = Path("gates.svg").read_text(encoding="utf-8")
    assert "0.png" in text
    assert "lska, layer 9" in text


def test_images_of_a_folder(tmp_path: Path) -> None:
    shapes.write_checkpoint(tmp_path)
    shapes.write_data(tmp_path)
    folder = tmp_path / "images" / "train"
    (folder / "notes.txt").write_text("no image")
    found = lska_surgeon.erf("base.pt", images=folder, imgsz=64, most=3)
    assert [image.name for image in found.images] == ["0.png", "1.png", "2.png"]
    assert found.notes == ()
    (folder / "0.png").write_bytes(b"broken")
    result = shapes.surgeon("erf", "base.pt", "--imgsz", 64, "--images", folder)
    assert result.exit_code == 2
    assert "0.png can't be read as an image" in result.stderr
