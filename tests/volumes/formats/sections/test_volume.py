"""Folders of sections."""

from __future__ import annotations

import os
import struct
import zlib

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile
from PIL import Image

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.inspection import describe_volume
from napari_pytc.volumes.opening import open_labels, open_spec, open_volume
from napari_pytc.volumes.spec import ReadOptions, SectionsSpec
from tests.volumes import files
from tests.volumes.files import image


def _png(folder, sections):
    folder.mkdir()
    for z, section in enumerate(sections):
        (folder / f"s{z:03}.png").write_bytes(imagecodecs.png_encode(section))
    return folder


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_ten_comes_after_two(suffix, tmp_path):
    data = image(shape=(12, 9, 11))
    volume = open_volume(files.write_sections(tmp_path / "a", data, suffix))
    np.testing.assert_array_equal(volume.read(Box.of_shape(data.shape)), data)


def test_grey_stored_in_colours_is_grey(tmp_path):
    data = image(shape=(3, 9, 11))
    volume = open_volume(_png(tmp_path / "a", np.stack([data] * 3, axis=-1)))
    np.testing.assert_array_equal(volume.read(Box.of_shape(data.shape)), data)
    folder = tmp_path / "b"
    folder.mkdir()
    for z in range(3):
        tifffile.imwrite(folder / f"{z}.tif", np.stack([data[z]] * 3, axis=-1), photometric="rgb")
    np.testing.assert_array_equal(open_volume(folder).read(Box.of_shape(data.shape)), data)


def test_colours_are_grey_unless_one_is_picked(tmp_path):
    data = image(shape=(3, 9, 11, 3))
    folder = _png(tmp_path / "a", data)
    mixed = open_volume(folder)
    assert np.abs(mixed.read(Box.of_shape((3, 9, 11))) - data @ (0.299, 0.587, 0.114)).max() <= 0.5
    assert "mixed to grey" in mixed.notes[0]
    volume = open_volume(folder, ReadOptions(channel=2))
    np.testing.assert_array_equal(volume.read(Box.of_shape((3, 9, 11))), data[..., 2])
    with pytest.raises(VolumeError, match="no channel 3"):
        open_volume(folder, ReadOptions(channel=3))


@pytest.mark.parametrize("n_bits", [1, 2, 8])
def test_the_indices_of_a_palette_are_labels(tmp_path, n_bits):
    labels = image(shape=(3, 9, 11)) % min(2**n_bits, 7)
    for z, section in enumerate(labels):
        picture = Image.fromarray(section.astype(np.uint8)).convert("P")
        picture.putdata(section.ravel().tolist())
        picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 9, 9, 1, 1, 1, 5, 5, 5, 7, 7, 7])
        picture.save(tmp_path / f"{z}.png", bits=n_bits)
    volume = open_labels(tmp_path)
    np.testing.assert_array_equal(volume.read(Box.of_shape(labels.shape)), labels)
    assert volume.notes == ("The indices of the palette are the labels, whatever their colours.",)
    assert open_volume(tmp_path).read(Box.of_shape(labels.shape)).max() > 7


def test_labels_in_colours_are_never_mixed(tmp_path):
    data = image(shape=(3, 9, 11))
    same = open_labels(_png(tmp_path / "a", np.stack([data] * 3, axis=-1)))
    np.testing.assert_array_equal(same.read(Box.of_shape(data.shape)), data)
    assert same.notes == ()
    coloured = _png(tmp_path / "b", image(shape=(3, 9, 11, 3)))
    with pytest.raises(VolumeError, match=r"red, green and blue differ.*--channel"):
        open_labels(coloured).read(Box.of_shape((3, 9, 11)))
    assert open_labels(coloured, ReadOptions(channel=1)).notes == ()
    tifffile.imwrite(tmp_path / "c.tif", image(shape=(9, 11, 3)), photometric="rgb")
    with pytest.raises(VolumeError, match="red, green and blue differ"):
        open_labels(tmp_path / "c.tif").read(Box.of_shape((1, 9, 11)))


def test_a_single_image_is_one_section(tmp_path):
    folder = _png(tmp_path / "a", image(shape=(3, 9, 11)))
    assert open_volume(folder / "s001.png").shape == (1, 9, 11)


SECTIONS = image(shape=(4, 9, 11))
ODD = {
    "9 x 12 pixels of uint8": image(shape=(9, 12)),
    "9 x 11 pixels of uint16": image("uint16", (9, 11)),
    "9 x 11 pixels of uint8, 3 colours": image(shape=(9, 11, 3)),
}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("text", ODD)
def test_a_section_of_another_size_or_type_is_named(text, suffix, tmp_path):
    folder = files.write_sections(tmp_path / "a", [*SECTIONS[:2], ODD[text], SECTIONS[3]], suffix)
    with pytest.raises(VolumeError) as caught:
        open_volume(folder)
    first = "9 x 11 pixels of uint8" + (", 1 colour" if "3 colours" in text else "")
    assert caught.value.message == f"Section 2, {folder}/section_2{suffix}, has {text}; the first has {first}."
    volume = open_volume(folder, ReadOptions(missing_sections="blank"))
    assert volume.notes == ("Section 2 read as blank: of another size or type than the first.",)
    blank = SECTIONS.copy()
    blank[2] = 0
    np.testing.assert_array_equal(volume.read(Box.of_shape(blank.shape)), blank)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sections_that_were_not_looked_at_are_checked_when_they_are_read(suffix, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_pytc.volumes.formats.sections.volume._N_PNG_SAMPLES", 2)
    monkeypatch.setattr("napari_pytc.volumes.formats.sections.volume._N_TIFF_SAMPLES", 2)
    folder = files.write_sections(tmp_path / "a", [*SECTIONS[:2], ODD["9 x 12 pixels of uint8"], SECTIONS[3]], suffix)
    volume = open_volume(folder)
    np.testing.assert_array_equal(volume.read(Box((0, 0, 0), (2, 9, 11))), SECTIONS[:2])
    with pytest.raises(VolumeError, match=r"^Section 2, .*has 9 x 12 pixels"):
        volume.read(Box((2, 0, 0), (3, 2, 2)))
    blank = open_volume(folder, ReadOptions(missing_sections="blank"))
    assert not blank.read(Box((2, 0, 0), (3, 2, 2))).any()
    assert "turn out to have another size or type" in blank.notes[-1]


def test_only_headers_of_sections_are_read_when_a_folder_is_opened(tmp_path, monkeypatch):
    folder = files.write_sections(tmp_path / "a", image(shape=(90, 9, 11)), ".png")
    decoded = []
    decode = imagecodecs.png_decode
    monkeypatch.setattr(imagecodecs, "png_decode", lambda data: decoded.append(1) or decode(data))
    assert open_volume(folder).shape == (90, 9, 11)
    assert len(decoded) == 1


def test_where_the_first_is_the_odd_one_nothing_is_read_as_blank(tmp_path):
    folder = files.write_sections(tmp_path / "a", [ODD["9 x 12 pixels of uint8"], *SECTIONS[1:]], ".png")
    with pytest.raises(VolumeError, match=r"Most sections of .* have another size or type than the first"):
        open_volume(folder, ReadOptions(missing_sections="blank"))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_a_gap_is_told_and_blank_on_request(suffix, tmp_path):
    data = np.zeros((12, 16, 16), "uint8") + np.arange(12, dtype="uint8")[:, None, None] * 20 + 10
    folder = files.write_sections(tmp_path / "a", data, suffix)
    for z in (4, 5):
        (folder / f"section_{z}{suffix}").unlink()
    volume = open_volume(folder)
    assert volume.shape == (10, 16, 16)
    assert volume.notes == (
        "2 of 12 sections are missing: sections 4, 5; the gap is closed, so that later sections lie lower than their "
        "numbers say; with --missing-sections blank they keep their places.",
    )
    volume = open_volume(folder, ReadOptions(missing_sections="blank"))
    assert volume.shape == (12, 16, 16)
    assert volume.notes == ("2 of 12 sections are missing: sections 4, 5; they are read as blank.",)
    data[4:6] = 0
    np.testing.assert_array_equal(volume.read(Box.of_shape(volume.shape)), data)
    again = open_spec(volume.spec)
    assert (again.shape, again.notes) == (volume.shape, volume.notes)


def test_series_of_names_must_be_told_apart(tmp_path):
    folder = _png(tmp_path / "a", SECTIONS)
    for z, section in enumerate(SECTIONS[:3]):
        (folder / f"mask_{z}.png").write_bytes(imagecodecs.png_encode(section))
    with pytest.raises(VolumeError) as caught:
        open_volume(folder)
    assert "2 series of sections: mask_*.png (3 files), s*.png (4 files)" in caught.value.message
    assert f"{folder}:mask_*" in caught.value.hint
    for where in (f"{folder}:s*", f"{folder}:S*.PNG"):
        volume = open_volume(where)
        np.testing.assert_array_equal(volume.read(Box.of_shape(volume.shape)), SECTIONS)
        assert "3 other files are left out: mask_0.png, mask_1.png, mask_2.png" in volume.notes[0]
        assert open_spec(volume.spec).notes == volume.notes
    volume = open_volume(f"{folder}:*")
    assert volume.shape == (7, 9, 11)
    assert "7 files are read in the order of their names" in volume.notes[0]
    with pytest.raises(VolumeError, match=r"no sections named x\*; it has 7 \.png"):
        open_volume(f"{folder}:x*")
    info = describe_volume(folder)
    assert [(array.name, array.shape) for array in info.arrays] == [("mask_*.png", (3, 9, 11)), ("s*.png", (4, 9, 11))]


def test_a_file_without_a_number_is_left_out(tmp_path):
    folder = _png(tmp_path / "a", SECTIONS)
    (folder / "overview.png").write_bytes(imagecodecs.png_encode(SECTIONS[0, ::2, ::2].copy()))
    volume = open_volume(folder)
    assert volume.shape == SECTIONS.shape
    assert volume.notes == ("Read is s*.png; another file is left out: overview.png.",)


def test_an_older_project_reads_all_files_of_a_folder(tmp_path):
    folder = _png(tmp_path / "a", SECTIONS)
    (folder / "overview.png").write_bytes(imagecodecs.png_encode(SECTIONS[0]))
    old = SectionsSpec.model_validate({"kind": "sections", "path": folder, "suffix": ".png", "channel": None})
    assert open_spec(old).shape == (5, 9, 11)


def test_axes_of_a_folder_can_be_told(tmp_path):
    folder = _png(tmp_path / "a", SECTIONS)
    volume = open_volume(folder, ReadOptions(axes="zxy"))
    np.testing.assert_array_equal(volume.read(Box.of_shape(volume.shape)), SECTIONS.transpose(0, 2, 1))
    one = open_volume(folder, ReadOptions(axes="tyx", time=2))
    np.testing.assert_array_equal(one.read(Box.of_shape((1, 9, 11))), SECTIONS[2:3])


def _palette_png(path, indices, colours):
    picture = PIL.Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    picture.putpalette(colours)
    picture.save(path)


def test_palettes_of_labels_must_be_the_same(tmp_path):
    labels = (SECTIONS % 3).astype("uint8")
    for z, section in enumerate(labels):
        red, green = ([255, 0, 0], [0, 255, 0])
        _palette_png(tmp_path / f"{z}.png", section, [0, 0, 0, *(red + green if z < 3 else green + red)])
    np.testing.assert_array_equal(open_labels(f"{tmp_path}:*").read(Box((0, 0, 0), (3, 9, 11))), labels[:3])
    with pytest.raises(VolumeError, match=r"Section 3, .*another palette, in which numbers mean other colours"):
        open_labels(f"{tmp_path}:*").read(Box.of_shape(labels.shape))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_labels_of_few_bits_are_not_stretched(depth, tmp_path):
    labels = (np.arange(64).reshape(8, 8) % 2**depth).astype("uint8")
    (tmp_path / "a.png").write_bytes(_grey_png(labels, depth))
    np.testing.assert_array_equal(open_labels(tmp_path / "a.png").read(Box.of_shape((1, 8, 8)))[0], labels)
    picture = open_volume(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.read(Box.of_shape((1, 8, 8)))[0], labels * (255 // (2**depth - 1)))
    assert picture.notes == (f"Grey of {depth} bits is stretched to 0 to 255.",)


def _grey_png(values, depth):
    """A grey PNG of few bits, which the usual writers do not make."""
    rows = np.unpackbits(values[..., None], axis=-1)[..., 8 - depth :].reshape(len(values), -1)
    packed = b"".join(b"\0" + np.packbits(row).tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", values.shape[1], len(values), depth, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(packed)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def test_labels_of_jpeg_are_doubted(tmp_path):
    folder = files.write_sections(tmp_path / "a", np.zeros((2, 9, 11), "uint8"), ".jpg")
    assert "JPEG changes values" in open_labels(folder).notes[0]


def test_images_of_other_kinds_are_named(tmp_path):
    for z in range(3):
        (tmp_path / f"{z}.bmp").write_bytes(b"BM")
    with pytest.raises(VolumeError, match=r"holds 3 \.bmp files, which are not read") as caught:
        open_volume(tmp_path)
    assert "Fiji" in caught.value.hint


def test_a_damaged_section_is_named(tmp_path):
    folder = _png(tmp_path / "a", image(shape=(3, 9, 11)))
    (folder / "s001.png").write_bytes((folder / "s001.png").read_bytes()[:60])
    volume = open_volume(folder)
    volume.read(Box.at((0, 0, 0), (1, 9, 11)))
    with pytest.raises(VolumeError, match=r"s001\.png"):
        volume.read(Box.of_shape(volume.shape))


def test_two_kinds_of_sections_must_be_named(tmp_path):
    folder = _png(tmp_path / "a", image(shape=(3, 9, 11)))
    tifffile.imwrite(folder / "overview.tif", image(shape=(9, 11)))
    with pytest.raises(VolumeError, match=r"1 \.tif, 3 \.png"):
        open_volume(folder)
    assert open_volume(f"{folder}:.png").shape == (3, 9, 11)
    assert open_volume(f"{folder}:tif").shape == (1, 9, 11)


def test_stacks_in_a_folder_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    for i in range(2):
        tifffile.imwrite(tmp_path / "a" / f"{i}.tif", image(), photometric="minisblack")
    with pytest.raises(VolumeError, match="holds 9 sections"):
        open_volume(tmp_path / "a")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no devices and pipes among files")
def test_devices_and_pipes_are_not_waited_for(tmp_path):
    folder = files.write_sections(tmp_path / "a", image(shape=(3, 9, 11)), ".png")
    (folder / "section_1.png").unlink()
    (folder / "section_1.png").symlink_to("/dev/zero")
    with pytest.raises(VolumeError, match=r"section_1\.png is a device or a pipe"):
        open_volume(folder)
    os.mkfifo(tmp_path / "b.tif")
    with pytest.raises(VolumeError, match=r"b\.tif is a device or a pipe"):
        open_volume(tmp_path / "b.tif")
