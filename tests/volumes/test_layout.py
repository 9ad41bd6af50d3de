"""Axes of files as (z, y, x): which are guessed, which are refused, and that spreading undoes arranging."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.layout import DTYPES, STORED_DTYPES, check_box, check_dtype, guess_axes, layout_of, read_dtype
from napari_pytc.volumes.spec import ReadOptions


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((37, 41), "yx"),
        ((9, 37, 41), "zyx"),
        ((3, 37, 41), "zyx"),
        ((37, 41, 3), "yxs"),
        ((37, 41, 4), "yxs"),
        ((37, 41, 2), "zyx"),
        ((37, 41, 5), "zyx"),
        ((16, 41, 3), "zyx"),  # too small to be a colour picture
        ((2, 9, 37, 41), "czyx"),
        ((9, 37, 41, 2), "zyxc"),
        ((9, 37, 41, 5), "czyx"),
        ((2, 37, 41, 3), "czyx"),
        ((1, 2, 9, 37, 41), "tczyx"),
        ((1, 9, 37, 41, 2), "tzyxc"),
    ],
)
def test_axes_that_are_not_named_are_guessed_from_the_lengths(shape: tuple[int, ...], axes: str) -> None:
    assert guess_axes(shape, "a.npy")[0] == axes


@pytest.mark.parametrize("shape", [(), (5,), (1, 1, 2, 3, 4, 5)])
def test_too_few_or_too_many_axes_are_reported(shape: tuple[int, ...]) -> None:
    with pytest.raises(VolumeError, match=rf"a\.npy has {len(shape)} axes") as caught:
        guess_axes(shape, "a.npy")
    assert "expected 2 to 4" in caught.value.message


@pytest.mark.parametrize(
    ("axes", "lengths", "channel", "sentence"),
    [
        ("zx", (9, 41), None, "a has axes zx for shape (9, 41); expected z, y, x, each once."),
        ("zyxx", (9, 37, 41, 41), None, "a has axes zyxx for shape (9, 37, 41, 41); expected z, y, x, each once."),
        ("zzyx", (9, 9, 37, 41), None, "a has axes zzyx for shape (9, 9, 37, 41); expected z, y, x, each once."),
        ("zyx", (9, 37), None, "a has axes zyx for shape (9, 37); expected z, y, x, each once."),
        ("zyx", (9, 0, 41), None, "a is empty: its shape is (9, 0, 41)."),
        ("tzyx", (3, 9, 37, 41), None, "a has 3 time points, and one must be picked."),
        (
            "hzyx",
            (3, 9, 37, 41),
            None,
            "a has 3 positions along axis 'h'; a volume has z, y, x, channels and time points only.",
        ),
        ("cyxs", (2, 37, 41, 5), None, "a has both 2 channels and 5 colours."),
        ("czyx", (2, 9, 37, 41), None, "a has 2 channels, and one must be picked."),
        ("czyx", (2, 9, 37, 41), 2, "a has 2 channels, so there is no channel 2."),
        ("czyx", (2, 9, 37, 41), -1, "a has 2 channels, so there is no channel -1."),
        ("zyx", (9, 37, 41), 1, "a has 1 channel, so there is no channel 1."),
    ],
)
def test_what_is_no_volume_is_reported_in_a_sentence(
    axes: str, lengths: tuple[int, ...], channel: int | None, sentence: str
) -> None:
    with pytest.raises(VolumeError) as caught:
        layout_of(axes, lengths, ReadOptions.model_construct(channel=channel, axes=None, time=None), "a")
    assert caught.value.message == sentence


def test_which_channels_there_are_is_the_hint() -> None:
    hint = "Give a channel from 0 to 1 with --channel; an image can have several, 0,1, or all."
    for channel in (None, 5):
        with pytest.raises(VolumeError) as caught:
            layout_of("czyx", (2, 9, 37, 41), ReadOptions(channel=channel), "a")
        assert caught.value.hint == hint
    with pytest.raises(VolumeError) as caught:
        layout_of("zyx", (9, 37, 41), ReadOptions(channel=1), "a")
    assert caught.value.hint.startswith("Leave --channel out. Channels in files of their own")


@pytest.mark.parametrize(
    ("axes", "lengths", "shape"),
    [
        ("yx", (37, 41), (1, 37, 41)),
        ("XYZ", (41, 37, 9), (9, 37, 41)),
        ("tzcyx", (1, 9, 1, 37, 41), (9, 37, 41)),
        ("qyx", (1, 37, 41), (1, 37, 41)),
    ],
)
def test_axes_that_a_file_lacks_have_length_one(axes: str, lengths: tuple[int, ...], shape: tuple[int, ...]) -> None:
    layout = layout_of(axes, lengths, ReadOptions(), "a")
    assert layout.shape == shape
    assert (layout.channel, layout.n_channels) == (0, 1)


@given(st.permutations("tczyx"), st.booleans())
def test_a_block_is_arranged_by_its_axes(axes: list[str], flat: bool) -> None:
    lengths = {"t": 1, "c": 1, "z": 1 if flat else 3, "y": 4, "x": 5}
    stored = np.arange(20 if flat else 60).reshape([lengths[a] for a in axes])
    layout = layout_of("".join(axes), stored.shape, ReadOptions(), "a")
    block = layout.arrange(stored, layout.shape)
    assert block.shape == layout.shape
    assert block.flags.c_contiguous
    np.testing.assert_array_equal(block, stored.transpose([axes.index(a) for a in "tczyx"]).reshape(layout.shape))


@pytest.mark.parametrize("axes", ["yx", "xy", "cyx", "yxs"])
def test_a_section_gets_a_z(axes: str) -> None:
    lengths = {"y": 4, "x": 5, "c": 1, "s": 1}
    stored = np.arange(20).reshape([lengths[a] for a in axes])
    layout = layout_of(axes, stored.shape, ReadOptions(), "a")
    block = layout.arrange(stored, (1, 4, 5))
    expected = stored.transpose([*(i for i, a in enumerate(axes) if a in "cs"), axes.index("y"), axes.index("x")])
    np.testing.assert_array_equal(block[0], expected.reshape(4, 5))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", STORED_DTYPES)
def test_every_type_that_is_read_becomes_that_of_the_machine(dtype: str, order: str) -> None:
    stored = np.dtype(dtype).newbyteorder(order)
    assert read_dtype(stored, "a") == np.dtype({"float16": "float32", "bool": "uint8"}.get(dtype, dtype))
    assert read_dtype(stored, "a").isnative
    layout = layout_of("yx", (2, 3), ReadOptions(), "a")
    block = layout.arrange(np.arange(6).reshape(2, 3).astype(stored), (1, 2, 3))
    assert block.dtype == read_dtype(stored, "a")
    assert block.ravel().tolist() == ([0, 1, 1, 1, 1, 1] if dtype == "bool" else [0, 1, 2, 3, 4, 5])


@pytest.mark.parametrize("dtype", ["complex64", "U3", "datetime64[s]", "object"])
def test_other_types_are_refused_with_those_that_are_read(dtype: str) -> None:
    with pytest.raises(VolumeError, match=r"a holds .* voxels; read are uint8, uint16"):
        read_dtype(np.dtype(dtype), "a")


@pytest.mark.parametrize("dtype", ["float16", "bool"])
def test_types_that_are_converted_are_read_but_no_volume_has_them(dtype: str) -> None:
    assert set(STORED_DTYPES) - set(DTYPES) == {"float16", "bool"}
    with pytest.raises(VolumeError, match=rf"a holds {dtype} voxels; read are uint8"):
        check_dtype(np.dtype(dtype), "a")


@pytest.mark.parametrize(
    ("axes", "lengths", "wanted", "shape"),
    [
        ("tyx", (12, 37, 41), "zyx", (12, 37, 41)),
        ("", (41, 37, 9), "xyz", (9, 37, 41)),
        ("czyx", (9, 2, 37, 41), "zcyx", (9, 37, 41)),
        ("tczyx", (1, 9, 1, 37, 41), "zyx", (9, 37, 41)),
        ("q", (9, 37, 41), "zyx", (9, 37, 41)),
    ],
)
def test_the_users_axes_overrule_those_of_the_file(
    axes: str, lengths: tuple[int, ...], wanted: str, shape: tuple[int, ...]
) -> None:
    options = ReadOptions(axes=wanted, channel=1 if "c" in wanted else None)
    layout = layout_of(axes, lengths, options, "a")
    assert layout.shape == shape
    assert f"Axes are read as {wanted}, as asked" in layout.notes[0]


def test_axes_of_another_number_are_refused() -> None:
    with pytest.raises(VolumeError, match=r"a has 3 axes, shape \(9, 37, 41\), so they cannot be tzyx"):
        layout_of("zyx", (9, 37, 41), ReadOptions(axes="tzyx"), "a")


@pytest.mark.parametrize("axes", ["zy", "zyxx", "qyx", "zyxw", ""])
def test_axes_are_letters_that_stand_once(axes: str) -> None:
    with pytest.raises(ValueError, match="each at most once and y and x among them"):
        ReadOptions(axes=axes)


def test_a_time_point_is_picked() -> None:
    stored = np.arange(3 * 2 * 4 * 5).reshape(3, 2, 4, 5)
    layout = layout_of("tzyx", stored.shape, ReadOptions(time=2), "a")
    box = Box.of_shape(layout.shape)
    np.testing.assert_array_equal(layout.arrange(stored[layout.index(box)], box.shape), stored[2])
    with pytest.raises(VolumeError, match="so there is no time point 3"):
        layout_of("tzyx", stored.shape, ReadOptions(time=3), "a")
    with pytest.raises(VolumeError, match="has 1 time point, so there is no time point 1"):
        layout_of("zyx", stored.shape[1:], ReadOptions(time=1), "a")


def test_frames_that_may_be_sections_are_asked_about() -> None:
    with pytest.raises(VolumeError) as caught:
        layout_of("tyx", (12, 4, 5), ReadOptions(), "a")
    assert caught.value.hint == "Give a time point from 0 to 11 with --time. If they are sections: --axes zyx."


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_colours_are_mixed_to_grey_and_grey_stays_as_it_is(dtype: str) -> None:
    grey = np.arange(20).reshape(4, 5).astype(dtype)
    layout = layout_of("yxs", (4, 5, 3), ReadOptions(), "a")
    box = Box.of_shape(layout.shape)
    block = layout.arrange(np.stack([grey] * 3, -1)[layout.index(box)], box.shape)
    assert block.dtype == dtype
    np.testing.assert_array_equal(block[0], grey)
    colours = np.array([[[100, 0, 0], [0, 100, 0], [0, 0, 100]]], dtype)
    layout = layout_of("yxs", colours.shape, ReadOptions(), "a")
    assert layout.arrange(colours, (1, 1, 3)).ravel().round().tolist() == [30, 59, 11]
    assert "mixed to grey" in layout.notes[0]
    assert layout_of("yxs", colours.shape, ReadOptions(channel=2), "a").notes == ()


@pytest.mark.parametrize(("n_colours", "n_notes"), [(2, 1), (4, 2)])
def test_transparency_is_left_out(n_colours: int, n_notes: int) -> None:
    stored = np.full((4, 5, n_colours), 7, np.uint8)
    stored[..., -1] = 255
    layout = layout_of("yxs", stored.shape, ReadOptions(), "a")
    box = Box.of_shape(layout.shape)
    assert (layout.arrange(stored[layout.index(box)], box.shape) == 7).all()
    assert layout.notes[-1] == "Transparency is left out."
    assert len(layout.notes) == n_notes


def test_axes_that_could_be_others_are_noted() -> None:
    assert "--axes xyz" in guess_axes((64, 64, 12), "a")[1]
    assert guess_axes((12, 64, 64), "a")[1] == guess_axes((64, 64, 64), "a")[1] == ""
    assert "taken as c, z, y, x" in guess_axes((2, 9, 37, 41), "a")[1]


@pytest.mark.parametrize(
    "box", [Box((0, 0, 0), (3, 4, 6)), Box((-1, 0, 0), (1, 1, 1)), Box((3, 0, 0), (4, 1, 1))], ids=str
)
def test_a_box_that_leaves_the_volume_is_named_with_the_volume(box: Box) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_box(box, (3, 4, 5))
    assert caught.value.message == f"The box {box} leaves the volume, whose voxels are 0:3,0:4,0:5."


@pytest.mark.parametrize("box", [Box((0, 0, 0), (3, 4, 5)), Box((3, 4, 5), (3, 4, 5)), Box((1, 1, 1), (2, 2, 2))])
def test_a_box_inside_passes(box: Box) -> None:
    check_box(box, (3, 4, 5))
