import numpy as np

from napari_pytc.proofreading.edits.shapes import holes_of, islands_of, nearest_labels, smoothed


def ball(shape: tuple[int, int, int], centre: tuple[int, int, int], radius: float) -> np.ndarray:
    z, y, x = np.ogrid[tuple(slice(0, n) for n in shape)]
    return (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2


def test_a_hole_is_what_is_enclosed() -> None:
    mask = ball((20, 20, 20), (10, 10, 10), 8) & ~ball((20, 20, 20), (10, 10, 10), 3)
    np.testing.assert_array_equal(holes_of(mask), ball((20, 20, 20), (10, 10, 10), 3))


def test_an_open_cavity_is_none_but_in_slices() -> None:
    tube = np.zeros((6, 9, 9), bool)
    tube[:, 2:7, 2:7] = True
    tube[:, 4, 4] = False
    assert not holes_of(tube).any()
    assert np.argwhere(holes_of(tube, axis=0)).tolist() == [[z, 4, 4] for z in range(6)]
    np.testing.assert_array_equal(holes_of(tube.transpose(1, 2, 0), axis=2), holes_of(tube, axis=0).transpose(1, 2, 0))


def test_smoothing_takes_bumps_and_fills_dents() -> None:
    mask = np.zeros((30, 30, 30), bool)
    mask[8:22, 8:22, 8:22] = True
    bump = mask.copy()
    bump[14:16, 14:16, 22:25] = True
    bump[14:16, 8:10, 14:16] = False
    after = smoothed(bump, (2, 2, 2))
    assert not after[14:16, 14:16, 23:25].any()
    assert after[14:16, 9, 14:16].all()
    assert abs(int(after.sum()) - int(mask.sum())) < 0.2 * mask.sum()


def test_thin_branches_keep_their_core() -> None:
    mask = np.zeros((15, 15, 40), bool)
    mask[6:9, 6:9, :] = True
    assert smoothed(mask, (4, 4, 4))[7, 7].all()


def test_islands_are_all_parts_but_the_largest() -> None:
    mask = np.zeros((8, 20, 20), bool)
    mask[:, :8] = True
    mask[2:4, 12:14, 2:4] = True
    mask[5, 17, 17] = True
    assert sorted(np.bincount(islands_of(mask, 0).ravel())[1:]) == [1, 8]
    assert np.bincount(islands_of(mask, 8).ravel())[1:].tolist() == [1]


def test_what_may_go_on_beyond_the_window_is_no_island() -> None:
    mask = np.zeros((8, 20, 20), bool)
    mask[:, :8] = True
    mask[4, 12, 19] = True
    assert islands_of(mask, 0).any()
    assert not islands_of(mask, 0, (True, True, True, True, True, False)).any()


def test_nearest_labels_are_nearest_in_space() -> None:
    labels = np.zeros((1, 1, 7), np.uint32)
    labels[0, 0, 0], labels[0, 0, 6] = 5, 9
    wanted = labels == 0
    assert nearest_labels(labels, ~wanted, wanted, (1, 1, 1)).tolist()[:2] == [5, 5]
    assert nearest_labels(labels, ~wanted, wanted, (1, 1, 1)).tolist()[-2:] == [9, 9]
