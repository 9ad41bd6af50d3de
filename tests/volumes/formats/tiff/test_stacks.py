"""Which pages of a TIFF are a stack, whatever they are stored like, and what is said of those that are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.image import open_image
from napari_pytc.volumes.opening import open_spec, open_volume
from napari_pytc.volumes.spec import ReadOptions, TiffSpec
from tests.volumes.files import image

STACK = image(shape=(12, 32, 48))
BLANK = ReadOptions(missing_sections="blank")


def write_pages(path: Path, sections: Any, bigtiff: bool = False, **each: Callable[[int], Any]) -> Path:
    """A TIFF with a directory for each page and no description; `each` gives the options of a page by its number."""
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as file:
        for i, section in enumerate(sections):
            options = {key: option(i) for key, option in each.items()}
            options = {"photometric": "minisblack", **options}
            file.write(section, metadata=None, contiguous=False, **options)
    return path


def whole(volume: Any) -> np.ndarray:
    return volume.read(Box.of_shape(volume.shape))


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize(
    "each",
    [
        {"compression": lambda i: None if i < 6 else "lzw"},
        {"compression": lambda i: "lzw" if i == 5 else None},
        {"compression": lambda i: ("zlib", "lzw", "zstd", None)[i % 4], "predictor": lambda i: i % 4 == 1},
        {"rowsperstrip": lambda i: 32 if i < 5 else 7},
        {"tile": lambda i: (16, 16) if i % 2 else None, "compression": lambda i: "zlib"},
    ],
    ids=["half compressed", "one compressed", "four compressions", "strips", "tiles"],
)
def test_pages_of_one_size_and_type_are_one_stack_however_they_are_stored(
    each: dict[str, Any], bigtiff: bool, tmp_path: Path
) -> None:
    volume = open_volume(write_pages(tmp_path / "a.tif", STACK, bigtiff, **each))
    assert volume.notes == ()
    np.testing.assert_array_equal(whole(volume), STACK)
    box = Box((3, 5, 9), (8, 20, 40))
    np.testing.assert_array_equal(volume.read(box), STACK[box.slices])
    np.testing.assert_array_equal(whole(open_spec(volume.spec)), STACK)


def test_colours_may_lie_by_pixel_or_by_plane(tmp_path: Path) -> None:
    data = image(shape=(4, 32, 48, 3))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for i, section in enumerate(data):
            planes = section if i % 2 else np.moveaxis(section, -1, 0)
            planar = "contig" if i % 2 else "separate"
            file.write(planes, photometric="rgb", planarconfig=planar, metadata=None, compression="zlib")
    for channel in range(3):
        volume = open_volume(tmp_path / "a.tif", ReadOptions(channel=channel))
        np.testing.assert_array_equal(whole(volume), data[..., channel])


@pytest.mark.parametrize("described", [True, False])
def test_pages_that_were_appended_one_by_one_are_a_stack(described: bool, tmp_path: Path) -> None:
    options: dict[str, Any] = {} if described else {"metadata": None}
    for section in STACK:
        tifffile.imwrite(tmp_path / "a.tif", section, append=True, **options)
    volume = open_volume(tmp_path / "a.tif")
    assert volume.notes == ()
    np.testing.assert_array_equal(whole(volume), STACK)


@pytest.mark.parametrize(("first", "last"), [(1, 0), (0, 1), (2, 2)])
def test_thumbnails_before_and_behind_a_stack_are_left_out_and_told(first: int, last: int, tmp_path: Path) -> None:
    small = STACK[0, ::2, ::4]
    path = write_pages(tmp_path / "a.tif", [*[small] * first, *STACK, *[small] * last])
    volume = open_volume(path)
    np.testing.assert_array_equal(whole(volume), STACK)
    number = 0 if first else 1
    assert volume.notes == (
        f"The largest image of the file is read, 12 x 32 x 48 uint8; left out: "
        f":{number} ({first + last} x 16 x 12 uint8).",
    )
    assert open_volume(f"{path}:{number}").shape == (first + last, 16, 12)
    assert open_volume(f"{path}:{1 - number}").notes == ()


def test_smaller_copies_between_the_pages_are_left_out_where_they_say_so(tmp_path: Path) -> None:
    sections = [part for section in STACK for part in (section, section[::2, ::2])]
    path = write_pages(tmp_path / "a.tif", sections, subfiletype=lambda i: i % 2)
    volume = open_volume(path)
    np.testing.assert_array_equal(whole(volume), STACK)
    assert "left out: :1 (12 x 16 x 24 uint8)" in volume.notes[0]


@pytest.mark.parametrize(
    ("odd", "is_said"),
    [
        (STACK[5, :, :-3], "32 x 45 pixels of uint8"),
        (STACK[5, :-3], "29 x 48 pixels of uint8"),
        (STACK[5].astype(np.uint16) * 256, "32 x 48 pixels of uint16"),
        (STACK[5].astype(np.float32), "32 x 48 pixels of float32"),
        (np.stack([STACK[5]] * 3, -1), "32 x 48 pixels of uint8, 3 colours"),
    ],
)
@pytest.mark.parametrize("described", [False, True])
def test_a_section_of_another_size_or_type_is_named(
    odd: np.ndarray, is_said: str, described: bool, tmp_path: Path
) -> None:
    path, sections = tmp_path / "a.tif", [*STACK[:5], odd, *STACK[6:]]
    if described:
        for section in sections:
            tifffile.imwrite(path, section, append=True, photometric="rgb" if section.ndim == 3 else "minisblack")
    else:
        write_pages(path, sections, photometric=lambda i: "rgb" if sections[i].ndim == 3 else "minisblack")
    with pytest.raises(VolumeError) as caught:
        open_volume(path)
    assert caught.value.message == f"Section 5 of {path} has {is_said}; the others have 32 x 48 pixels of uint8."
    assert f"{path}:0 (11 x 32 x 48 uint8)" in caught.value.hint
    volume = open_volume(path, BLANK)
    blank = STACK.copy()
    blank[5] = 0
    np.testing.assert_array_equal(whole(volume), blank)
    assert volume.notes == ("Section 5 read as blank: of another size or type than the others.",)
    np.testing.assert_array_equal(whole(open_volume(f"{path}:0")), np.delete(STACK, 5, 0))


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the pages whose directories were read as a whole."""
    seen: list[int] = []
    get = tifffile.TiffPages.get
    monkeypatch.setattr(tifffile.TiffPages, "get", lambda self, key, **k: seen.append(key) or get(self, key, **k))
    return seen


def test_pages_of_a_long_stack_are_checked_when_they_are_read(tmp_path: Path, looked_at: list[int]) -> None:
    data = np.arange(600, dtype=np.uint16)[:, None, None] + np.zeros((1, 4, 5), np.uint16)
    sections = [*data[:301], data[301].astype(np.uint8), *data[302:]]
    path = write_pages(tmp_path / "a.tif", sections, compression=lambda i: "zlib" if i == 500 else None)
    volume = open_volume(path)
    assert volume.shape == (600, 4, 5)
    assert len(looked_at) < 80
    assert 301 not in looked_at
    for box in (Box((0, 0, 0), (301, 4, 5)), Box((302, 0, 0), (600, 4, 5))):
        np.testing.assert_array_equal(volume.read(box), data[box.slices])
    with pytest.raises(VolumeError, match=r"^Section 301 of .* has 4 x 5 pixels of uint8; the others have 4 x 5 pix"):
        volume.read(Box((300, 1, 1), (303, 2, 2)))
    blank = open_volume(path, BLANK)
    assert not blank.read(Box((301, 0, 0), (302, 4, 5))).any()
    assert "Sections that turn out to have another size or type" in blank.notes[-1]


def test_a_thumbnail_of_a_long_stack_is_found(tmp_path: Path) -> None:
    data = np.zeros((600, 4, 5), np.uint8)
    volume = open_volume(write_pages(tmp_path / "a.tif", [*data, data[0, :2, :2]]))
    assert volume.shape == (600, 4, 5)
    assert "left out: :1 (1 x 2 x 2 uint8)" in volume.notes[0]


class TestSeveralImages:
    def test_the_largest_is_read_and_the_others_are_told(self, tmp_path: Path) -> None:
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            file.write(STACK[:3, :8, :8], photometric="minisblack")
            file.write(STACK, photometric="minisblack", compression="zlib")
            file.write(STACK.astype(np.uint16), photometric="minisblack")
        volume = open_volume(tmp_path / "a.tif")
        np.testing.assert_array_equal(whole(volume), STACK)
        assert volume.dtype == np.uint8
        assert "left out: :0 (3 x 8 x 8 uint8), :2 (12 x 32 x 48 uint16)" in volume.notes[0]
        assert whole(open_volume(f"{tmp_path}/a.tif:2")).dtype == np.uint16
        with pytest.raises(VolumeError, match="has 3 series, so there is none of number 3") as caught:
            open_volume(f"{tmp_path}/a.tif:3")
        assert ":1 (12 x 32 x 48 uint8)" in caught.value.hint

    def test_of_ome(self, tmp_path: Path) -> None:
        with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
            file.write(STACK[:2, :4, :4], metadata={"axes": "ZYX"}, photometric="minisblack")
            file.write(STACK, metadata={"axes": "ZYX", "PhysicalSizeX": 0.004}, photometric="minisblack")
        volume = open_volume(tmp_path / "a.ome.tif")
        np.testing.assert_array_equal(whole(volume), STACK)
        assert "left out: :0 (2 x 4 x 4 uint8)" in volume.notes[0]

    def test_an_older_project_names_the_first_one(self, tmp_path: Path) -> None:
        path = write_pages(tmp_path / "a.tif", [STACK[0, ::2, ::2], *STACK])
        old = TiffSpec.model_validate({"kind": "tiff", "path": path, "series": 0, "voxel_size_nm": None})
        assert open_spec(old).shape == (1, 16, 24)

    @pytest.mark.parametrize("described", [True, False])
    def test_smaller_copies_of_a_pyramid(self, described: bool, tmp_path: Path) -> None:
        metadata: dict[str, Any] = {"metadata": {"axes": "ZYX"} if described else None}
        with tifffile.TiffWriter(tmp_path / "a.tif", ome=described) as file:
            sections = [STACK] if described else list(STACK)
            for section in sections:
                options: dict[str, Any] = {"photometric": "minisblack", "tile": (16, 16), "compression": "zlib"}
                file.write(section, subifds=2, **options, **metadata)
                for step in (2, 4):
                    file.write(section[..., ::step, ::step], subfiletype=1, **options)
        volume = open_volume(tmp_path / "a.tif")
        np.testing.assert_array_equal(whole(volume), STACK)
        assert volume.notes == ("Each section has 2 smaller copies in the file (a pyramid), which are not read.",)


OME = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:a">'
    '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="48" SizeY="32" SizeZ="12" '
    'SizeC="{channels}" SizeT="1" PhysicalSizeX="4" PhysicalSizeXUnit="nm" PhysicalSizeY="4" PhysicalSizeYUnit="nm" '
    'PhysicalSizeZ="40" PhysicalSizeZUnit="nm"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{data}</Pixels></Image>'
    "</OME>"
)


def _ome(path: Path, sections: np.ndarray, data: str = "<TiffData/>", channels: int = 1) -> Path:
    text = OME.format(data=data, channels=channels)
    return write_pages(path, sections, description=lambda i: text if i == 0 else None)


class TestMissingSections:
    def test_an_aborted_ome_is_as_long_as_it_is(self, tmp_path: Path) -> None:
        path = _ome(tmp_path / "a.ome.tif", STACK[:8])
        volume = open_volume(path)
        np.testing.assert_array_equal(whole(volume), STACK[:8])
        assert volume.space.voxel_size_nm == (40, 4, 4)
        assert volume.notes == (
            "4 of 12 sections are missing: sections 8 to 11; they are left out, or blank with --missing-sections "
            "blank.",
        )

    def test_or_has_blank_sections_on_request(self, tmp_path: Path) -> None:
        volume = open_volume(_ome(tmp_path / "a.ome.tif", STACK[:8]), BLANK)
        assert volume.shape == (12, 32, 48)
        np.testing.assert_array_equal(whole(volume)[:8], STACK[:8])
        assert not whole(volume)[8:].any()
        assert volume.notes == ("4 of 12 sections are missing: sections 8 to 11; they are read as blank.",)
        assert open_spec(volume.spec).shape == (12, 32, 48)

    def test_of_a_channel(self, tmp_path: Path) -> None:
        path = _ome(tmp_path / "a.ome.tif", [*STACK, *STACK[:3]], channels=2)
        assert open_volume(path, ReadOptions(channel=0)).notes == ()
        np.testing.assert_array_equal(whole(open_volume(path, ReadOptions(channel=0))), STACK)
        np.testing.assert_array_equal(whole(open_volume(path, ReadOptions(channel=1))), STACK[:3])
        path = _ome(tmp_path / "b.ome.tif", STACK, channels=2)
        with pytest.raises(VolumeError, match="holds no section of channel 1 and time point 0; 12 of the 24 pages"):
            open_volume(path, ReadOptions(channel=1))

    def test_channels_that_lack_different_sections_are_not_read_together(self, tmp_path: Path) -> None:
        path = _ome(tmp_path / "a.ome.tif", [*STACK, *STACK[:3]], channels=2)
        with pytest.raises(VolumeError, match=r"Channels 0 and 1 of .* lack different sections") as caught:
            open_image(path, ReadOptions(channel="all"))
        assert "--missing-sections blank" in caught.value.hint
        image = open_image(path, ReadOptions(channel=(0, 1), missing_sections="blank"))
        data = image.read(Box.of_shape(image.shape))
        np.testing.assert_array_equal(data[:, :3], np.stack([STACK[:3], STACK[:3]]))
        assert data[0, 3:].any()
        assert not data[1, 3:].any()
        assert any("sections 3 to 11; they are read as blank" in note for note in image.notes)

    def _several_files(self, folder: Path) -> Path:
        parts = {name: range(4 * i, 4 * i + 4) for i, name in enumerate("abc")}
        for name, numbers in parts.items():
            data = "".join(
                f'<TiffData FirstZ="{z}" IFD="{z % 4}" PlaneCount="1"><UUID FileName="{other}.ome.tif">'
                f"urn:{other}</UUID></TiffData>"
                for other, own in parts.items()
                for z in own
            )
            text = OME.replace("urn:a", f"urn:{name}").format(data=data, channels=1)
            write_pages(
                folder / f"{name}.ome.tif", STACK[list(numbers)], description=lambda i, t=text: None if i else t
            )
        return folder / "a.ome.tif"

    def test_several_files_are_one_volume(self, tmp_path: Path) -> None:
        volume = open_volume(self._several_files(tmp_path))
        np.testing.assert_array_equal(whole(volume), STACK)
        assert volume.notes == ()

    def test_a_file_that_is_gone_is_a_gap(self, tmp_path: Path) -> None:
        path = self._several_files(tmp_path)
        (tmp_path / "b.ome.tif").unlink()
        volume = open_volume(path)
        np.testing.assert_array_equal(whole(volume), np.delete(STACK, range(4, 8), 0))
        assert "4 of 12 sections are missing: sections 4 to 7; the gap is closed" in volume.notes[0]
        blank = STACK.copy()
        blank[4:8] = 0
        np.testing.assert_array_equal(whole(open_volume(path, BLANK)), blank)

    def test_more_pages_than_the_description_names_are_told(self, tmp_path: Path) -> None:
        volume = open_volume(_ome(tmp_path / "a.ome.tif", [*STACK, *STACK[:2]]))
        np.testing.assert_array_equal(whole(volume), STACK)
        assert volume.notes == ("The file has 2 more pages than its description names; they are left out.",)


class TestImageJ:
    @pytest.mark.parametrize("compression", [None, "zlib"])
    def test_hyperstacks(self, compression: str | None, tmp_path: Path) -> None:
        data = image(shape=(2, 5, 3, 16, 24))
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, data, imagej=True, metadata={"axes": "TZCYX"}, compression=compression)
        volume = open_volume(path, ReadOptions(channel=1, time=1))
        np.testing.assert_array_equal(whole(volume), data[1, :, 1])

    def test_frames_are_sections_when_the_user_says_so(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata={"axes": "TYX"})
        with pytest.raises(VolumeError, match="12 time points") as caught:
            open_volume(tmp_path / "a.tif")
        assert "--axes zyx" in caught.value.hint
        volume = open_volume(tmp_path / "a.tif", ReadOptions(axes="zyx"))
        np.testing.assert_array_equal(whole(volume), STACK)
        assert volume.notes == ("Axes are read as zyx, as asked; the file says tyx.",)

    def test_many_channels_without_sections_are_sections_and_told(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True)
        assert "12 channels is taken as sections" in open_volume(tmp_path / "a.tif").notes[0]

    def test_its_calibration_is_told(self, tmp_path: Path) -> None:
        metadata = {"axes": "ZYX", "cf": 0, "c0": -32768.0, "c1": 1.0}
        tifffile.imwrite(tmp_path / "a.tif", STACK.astype(np.uint16), imagej=True, metadata=metadata)
        assert "calibration, -32768.0 + 1.0 x value, is not applied" in open_volume(tmp_path / "a.tif").notes[0]


class TestMeaningOfValues:
    def test_colours_of_a_palette_are_left_out(self, tmp_path: Path) -> None:
        labels = (STACK % 3).astype(np.uint8)
        colours = np.zeros((3, 256), np.uint16)
        colours[0, 1], colours[1, 2] = 65535, 65535
        path = write_pages(tmp_path / "a.tif", labels, photometric=lambda i: "palette", colormap=lambda i: colours)
        volume = open_volume(path)
        np.testing.assert_array_equal(whole(volume), labels)
        assert volume.notes == ("The colours of the palette are left out; voxels are the numbers in it.",)

    def test_sections_with_other_palettes_are_refused(self, tmp_path: Path) -> None:
        colours = [np.full((3, 256), k, np.uint16) for k in range(2)]
        path = write_pages(
            tmp_path / "a.tif", STACK[:3], photometric=lambda i: "palette", colormap=lambda i: colours[i == 2]
        )
        volume = open_volume(path)
        np.testing.assert_array_equal(volume.read(Box((0, 0, 0), (2, 32, 48))), STACK[:2])
        with pytest.raises(VolumeError, match=r"Section 2 of .* has another palette"):
            whole(volume)

    def test_white_that_is_zero_is_told(self, tmp_path: Path) -> None:
        volume = open_volume(write_pages(tmp_path / "a.tif", STACK, photometric=lambda i: "miniswhite"))
        np.testing.assert_array_equal(whole(volume), STACK)
        assert "0 is white" in volume.notes[0]

    @pytest.mark.parametrize("dtype", ["bool", "float16"])
    def test_types_that_are_converted(self, dtype: str, tmp_path: Path) -> None:
        data = (STACK > 100).astype(dtype)
        for name, options in (("a.tif", {}), ("b.tif", {"compression": "zlib", "metadata": None})):
            tifffile.imwrite(tmp_path / name, data, photometric="minisblack", **options)
            volume = open_volume(tmp_path / name)
            assert volume.dtype == {"bool": "uint8", "float16": "float32"}[dtype]
            np.testing.assert_array_equal(whole(volume), STACK > 100)
            assert f"stored as {dtype}" in volume.notes[-1]

    @pytest.mark.parametrize("extrasample", ["unassalpha", "assocalpha"])
    def test_transparency_is_left_out(self, extrasample: str, tmp_path: Path) -> None:
        data = image(shape=(3, 32, 48, 2))
        tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", planarconfig="contig",
                         extrasamples=[extrasample])  # fmt: skip
        volume = open_volume(tmp_path / "a.tif")
        np.testing.assert_array_equal(whole(volume), data[..., 0])
        assert volume.notes == ("Transparency is left out.",)

    def test_samples_that_are_no_colours_are_channels(self, tmp_path: Path) -> None:
        data = image(shape=(3, 32, 48, 3))
        tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", planarconfig="contig")
        with pytest.raises(VolumeError, match="has 3 channels, and one must be picked"):
            open_volume(tmp_path / "a.tif")
        np.testing.assert_array_equal(whole(open_volume(tmp_path / "a.tif", ReadOptions(channel=2))), data[..., 2])

    def test_strips_without_data_are_blank_and_told(self, tmp_path: Path) -> None:
        path = write_pages(tmp_path / "a.tif", STACK, rowsperstrip=lambda i: 8, compression=lambda i: "zlib")
        with tifffile.TiffFile(path) as file:
            tags = [file.pages[3].tags[code] for code in (273, 279)]
            places = [(tag.valueoffset, tag.valuebytecount // tag.count) for tag in tags]
        with open(path, "r+b") as file:
            for place, size in places:
                file.seek(place + size)
                file.write(bytes(size))
        volume = open_volume(path)
        assert volume.notes == ("Page 3 has strips or tiles without data, which are read as blank.",)
        expected = STACK.copy()
        expected[3, 8:16] = 0
        np.testing.assert_array_equal(whole(volume), expected)

    def test_a_compression_that_is_not_read_is_named_when_the_file_is_opened(self, tmp_path: Path) -> None:
        path = write_pages(tmp_path / "a.tif", STACK, compression=lambda i: "zlib")
        with tifffile.TiffFile(path) as file:
            places = [page.tags[259].valueoffset for page in file.pages]
        with open(path, "r+b") as file:
            for place in places:
                file.seek(place)
                file.write((34676).to_bytes(2, "little"))  # SGILOG
        with pytest.raises(VolumeError, match="is compressed with SGILOG, which is not read here"):
            open_volume(path)


@pytest.mark.parametrize(
    "text",
    [
        OME.replace("<Image", "<Imag"),
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:b">'
        '<BinaryOnly MetadataFile="a.companion.ome" UUID="urn:a"/></OME>',
    ],
    ids=["damaged", "in another file"],
)
def test_an_ome_description_that_cannot_be_used_is_told(text: str, tmp_path: Path) -> None:
    path = write_pages(tmp_path / "a.ome.tif", STACK, description=lambda i: None if i else text)
    volume = open_volume(path)
    np.testing.assert_array_equal(whole(volume), STACK)
    assert volume.notes == ("The OME description lies in another file or is damaged; all pages are taken as sections.",)


def test_unnamed_axes_before_the_sections_are_told(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image(shape=(2, 5, 16, 24)), photometric="minisblack")
    volume = open_volume(tmp_path / "a.tif", ReadOptions(channel=1))
    assert "they are taken as c, z, y, x" in volume.notes[0]
