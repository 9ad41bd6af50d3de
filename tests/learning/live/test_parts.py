"""Tiles, features, the instant model, and the contest, each for itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.learning.data import TrainingImage
from napari_pytc.learning.live.contest import Candidate, Contest, Rounds
from napari_pytc.learning.live.instant import InstantModel
from napari_pytc.learning.live.messages import View
from napari_pytc.learning.live.painter import ViewPainter
from napari_pytc.learning.live.plan import LivePlan
from napari_pytc.learning.live.strokes import Page, Painted, StrokeBook
from napari_pytc.learning.live.taught import Examples, TaughtVoxels
from napari_pytc.learning.live.tiles import FeatureTiles, tile_shape_of, tiles_in_view
from napari_pytc.learning.networks.limits import measure_limits
from napari_pytc.learning.normalisation import Normalisation
from napari_pytc.learning.recipes import load_recipe
from napari_pytc.volumes.memory import MemoryVolume
from tests.support.learning import CLASSES
from tests.support.live import LiveProject, live_tissue, tiny_network

INSTANT = load_recipe("instant")
BOX = Box((0, 0, 0), (1, 10, 100))
NORMALISATION = Normalisation(mean=128, std=50, low=0, high=255)


def instant_model(anisotropy: float = 4.0) -> InstantModel:
    return InstantModel(INSTANT, len(CLASSES), live_tissue(anisotropy).space)


def taught_of(project: LiveProject, raw: np.ndarray, held_out: tuple[Box, ...] = ()) -> tuple[TaughtVoxels, StrokeBook]:
    """Voxels of a project's strokes, on an image; and the book they are from."""
    source = MemoryVolume(raw, project.tissue.space)
    network = instant_model().network
    limits = measure_limits(network)
    visible = TrainingImage(source, NORMALISATION)
    tiles = FeatureTiles(network, limits, visible, 2**20)
    book = StrokeBook(project.store, 2, held_out)
    book.refresh()
    return TaughtVoxels(network, limits, TrainingImage(source, NORMALISATION, held_out), visible, tiles), book


@pytest.mark.parametrize(
    ("view", "shape"),
    [
        (Box((3, 0, 0), (4, 512, 512)), (1, 128, 128)),
        (Box((0, 7, 0), (170, 8, 250)), (128, 1, 128)),
        (Box((0, 0, 0), (100, 100, 100)), (48, 48, 48)),
        (Box((3, 5, 0), (4, 6, 512)), (1, 1, 512)),
        (Box((3, 5, 7), (4, 6, 8)), (1, 1, 1)),
    ],
)
def test_tiles_are_thin_where_the_view_is(view: Box, shape: tuple[int, int, int]) -> None:
    assert tile_shape_of(view) == shape


def test_tiles_cover_the_view_and_begin_in_its_middle() -> None:
    volume, view = Box.of_shape((10, 1000, 900)), Box((3, 100, 50), (4, 700, 900))

    tiles = tiles_in_view(view, volume, (1, 128, 128), (1, 1, 1))

    assert sum(tile.intersect(view).size for tile in tiles) == view.size
    assert len(set(tiles)) == len(tiles)
    assert tiles[0].contains_point(view.centre)


def test_of_a_view_that_is_far_too_large_the_middle_is_taken() -> None:
    volume = Box.of_shape((4000, 40000, 40000))

    tiles = tiles_in_view(volume, volume, tile_shape_of(volume), (1, 1, 1))

    assert len(tiles) == 256
    assert tiles[0].grow((1, 1, 1)).contains_point(volume.centre)


def test_features_are_those_of_the_network_and_bounded_in_memory() -> None:
    tissue, network = live_tissue(), instant_model().network
    image = TrainingImage(MemoryVolume(tissue.raw, tissue.space), NORMALISATION)
    boxes = [Box((z, 0, 0), (z + 1, 64, 64)) for z in range(6)]
    of_one = 64 * 64 * network.n_features * 2
    tiles = FeatureTiles(network, measure_limits(network), image, int(2.5 * of_one))

    for box in boxes:
        tiles.get(box)
    assert tiles.n_bytes == 2 * of_one
    tiles.get(boxes[-1])
    assert tiles.n_computed == 6
    tiles.get(boxes[0])
    assert tiles.n_computed == 7

    whole = torch.from_numpy(NORMALISATION.apply(tissue.raw))[None, None]
    expected = network.features(whole)[0, :, 0].flatten(1).T
    assert (tiles.get(boxes[0]).float() - expected).abs().max() < 0.01


def test_tiles_of_a_section_that_share_their_context_are_computed_together() -> None:
    tissue, network = live_tissue(shape=(3, 300, 290)), instant_model().network
    image, limits = TrainingImage(MemoryVolume(tissue.raw, tissue.space), NORMALISATION), measure_limits(network)
    together, alone = (FeatureTiles(network, limits, image, most) for most in (2**30, 2 * 2**20))
    volume = Box.of_shape(tissue.raw.shape)

    together.get(Box((1, 128, 128), (2, 256, 256)))
    assert together.n_computed == 4
    for box in tiles_in_view(Box((1, 0, 0), (2, 300, 290)), volume, (1, 128, 128), (1, 1, 1)):
        assert (together.get(box) - alone.get(box)).abs().max() < 0.01

    assert together.n_computed == 9
    assert alone.n_bytes <= 2 * 2**20
    assert together.get(Box((1, 5, 7), (2, 50, 60))).shape == (45 * 53, network.n_features)


def test_a_tile_larger_than_the_bound_is_computed_every_time() -> None:
    tissue, network = live_tissue(), instant_model().network
    image = TrainingImage(MemoryVolume(tissue.raw, tissue.space), NORMALISATION)
    tiles = FeatureTiles(network, measure_limits(network), image, 1000)

    tiles.get(Box((0, 0, 0), (1, 64, 64)))

    assert tiles.n_bytes == 0


def test_rounded_features_do_not_change_the_answer(tmp_path: Path) -> None:
    project, model = LiveProject(tmp_path), instant_model()
    taught, book = taught_of(project, project.tissue.raw)
    learnt, _ = taught.gather(book.pages.values())
    model.fit(learnt)

    exact, rounded = model.probabilities(learnt.features), model.probabilities(learnt.features.half())

    assert (exact - rounded).abs().max() < 0.01


def test_the_instant_model_learns_and_is_the_same_every_time(tmp_path: Path) -> None:
    project, model, other = LiveProject(tmp_path), instant_model(), instant_model()
    taught, book = taught_of(project, project.tissue.raw)
    learnt, kept = taught.gather(book.pages.values())

    model.fit(learnt)
    model.fit(learnt + kept)
    other.fit(learnt + kept)

    assert len(learnt) + len(kept) == int((book.counts + book.kept_counts).sum())
    right = model.probabilities(learnt.features).argmax(0) + 1 == learnt.classes
    assert right.float().mean() > 0.9
    assert torch.equal(model.probabilities(learnt.features), other.probabilities(learnt.features))


N_EACH = np.array([3, 3])


def course(n_first: int, *later: tuple[int, Page | None]) -> tuple[InstantModel, InstantModel]:
    """A model that learnt the first examples, then more of them with what is painted then; one that learnt the last."""
    generator = torch.Generator().manual_seed(0)
    going_on, anew = instant_model(), instant_model()
    classes = torch.arange(400) % 2 + 1
    features = torch.randn(400, going_on.network.n_features, generator=generator) + classes[:, None]
    going_on.learn(Examples(features[:n_first], classes[:n_first]), Painted({BOX: page(10)}, N_EACH))
    for n, now in later:
        going_on.learn(Examples(features[:n], classes[:n]), Painted({} if now is None else {BOX: now}, N_EACH))
        anew.fit(Examples(features[:n], classes[:n]))
    return going_on, anew


def page(n: int, of_class: int = 1) -> Page:
    """A chunk whose first voxels are painted."""
    none = np.zeros(n, bool)
    return Page(BOX, np.arange(n), np.full(n, of_class, np.uint8), none, none, 0.0)


def are_alike(one: InstantModel, other: InstantModel) -> bool:
    features = torch.randn(50, one.network.n_features, generator=torch.Generator().manual_seed(1))
    return torch.equal(one.probabilities(features), other.probabilities(features))


def test_strokes_that_were_added_are_gone_on_with() -> None:
    going_on, anew = course(300, (310, page(20)), (320, page(30)))

    assert not are_alike(going_on, anew)
    features = torch.tensor([1.0, 2.0])[:, None].expand(2, going_on.network.n_features)
    assert going_on.probabilities(features).argmax(0).tolist() == [0, 1]
    assert not torch.equal(going_on.network.feature_mean, anew.network.feature_mean)


@pytest.mark.parametrize(
    ("n_first", "n", "now"),
    [(300, 290, page(9)), (300, 310, page(20, of_class=2)), (300, 310, None), (200, 400, page(20))],
    ids=["erased", "of another class", "all erased", "twice as many"],
)
def test_what_is_taken_back_and_what_has_doubled_is_learnt_from_the_start(
    n_first: int, n: int, now: Page | None
) -> None:
    going_on, anew = course(n_first, (n, now))

    assert are_alike(going_on, anew)


def test_undo_and_redo_bring_back_the_model_of_then() -> None:
    model, then, last = instant_model(), instant_model(), instant_model()
    features = torch.randn(320, model.network.n_features, generator=torch.Generator().manual_seed(2))
    steps = [
        (Examples(features[:n], torch.arange(n) % 2 + 1), Painted({BOX: page(n)}, N_EACH)) for n in (300, 310, 320)
    ]
    for step in steps:
        model.learn(*step)
        last.learn(*step)
    for step in steps[:2]:
        then.learn(*step)

    model.learn(*steps[1])
    assert are_alike(model, then)
    model.learn(*steps[2])
    assert are_alike(model, last)
    assert not are_alike(model, then)


def test_many_strokes_at_once_are_learnt_from_the_start() -> None:
    going_on, anew = course(300)
    few, many = Painted({BOX: page(20)}, N_EACH + 4), Painted({BOX: page(30)}, N_EACH + 9)
    features = torch.randn(320, going_on.network.n_features, generator=torch.Generator().manual_seed(2))
    examples = Examples(features, torch.arange(320) % 2 + 1)
    anew.fit(examples)

    going_on.learn(examples, few)
    assert not are_alike(going_on, anew)
    going_on.learn(examples, many)
    assert are_alike(going_on, anew)


def test_a_new_class_is_learnt_from_the_start() -> None:
    model, anew = instant_model(), instant_model()
    features = torch.randn(60, model.network.n_features, generator=torch.Generator().manual_seed(0))
    ones, both = torch.ones(60, dtype=torch.int64), torch.arange(60) % 2 + 1
    model.learn(Examples(features, ones), Painted({BOX: page(10)}, np.array([3, 0])))

    model.learn(Examples(features, both), Painted({BOX: page(20)}, np.array([3, 1])))

    anew.fit(Examples(features, both))
    assert are_alike(model, anew)


def test_features_after_more_strokes_are_those_of_all_at_once(tmp_path: Path) -> None:
    project = LiveProject(tmp_path)
    taught, book = taught_of(project, project.tissue.raw)
    taught.gather(book.pages.values())
    project.paint(seed=1)
    project.store.write(Box((0, 0, 0), (2, 64, 64)), np.zeros((2, 64, 64), np.uint8))
    book.refresh()

    found = taught.gather(book.pages.values())

    fresh, _ = taught_of(project, project.tissue.raw)
    for a, b in zip(found, fresh.gather(book.pages.values()), strict=True):
        assert torch.equal(a.classes, b.classes)
        assert torch.allclose(a.features, b.features, atol=1e-4)


def test_no_held_out_voxel_is_learnt(tmp_path: Path) -> None:
    project = LiveProject(tmp_path)
    held_out = Box((0, 0, 0), (6, 64, 30))
    noise = np.random.default_rng(0).integers(0, 255, (6, 64, 30), np.uint8)
    changed = project.tissue.raw.copy()
    changed[held_out.slices] = noise

    learnt = []
    for raw in (project.tissue.raw, changed):
        taught, book = taught_of(project, raw, (held_out,))
        examples, kept = taught.gather(book.pages.values())
        learnt.append(examples)
        assert book.scores_held_out
        assert not len(kept)  # held-out strokes are not among what the model on show may learn

    assert torch.equal(learnt[0].features, learnt[1].features)
    n_inside = np.count_nonzero(project.store.read(held_out))
    assert n_inside
    assert len(learnt[0]) == np.count_nonzero(project.store.read(project.whole)) - n_inside


def test_a_dense_annotation_is_learnt_from_a_sample(tmp_path: Path) -> None:
    project = LiveProject(tmp_path, n_strokes=0, tissue=live_tissue(shape=(12, 64, 64)))
    project.store.write(project.whole, project.tissue.classes)
    taught, book = taught_of(project, project.tissue.raw)

    learnt, _ = taught.gather(book.pages.values())

    counts = torch.bincount(learnt.classes, minlength=3)[1:]
    assert (counts < 21_500).all()
    assert counts.min() > 5000


def candidate(score: float | None, step: int = 1) -> Candidate:
    return Candidate({}, step, score)


def contest_of(instant: float | None, network: float | None, is_of_strokes: bool = False) -> Contest:
    """With a margin of 0.02 and a tolerance of 0.1; decided once."""
    contest = Contest(0.02, 0.1)
    enter(contest, instant, network, is_of_strokes)
    contest.decide()
    return contest


def enter(contest: Contest, instant: float | None, network: float | None, is_of_strokes: bool = False) -> None:
    contest.expire()
    contest.score_instant(instant, is_of_strokes)
    contest.enter(candidate(network))


def test_on_held_out_boxes_the_network_takes_over_by_a_margin_and_gives_back_by_a_margin() -> None:
    contest = contest_of(0.70, 0.71)
    assert contest.shown == "instant"
    contest.enter(candidate(0.73))
    assert contest.decide()
    assert contest.shown == "network"
    contest.expire()
    contest.score_instant(0.74, is_of_strokes=False)
    assert not contest.decide()  # the network's score is of other strokes
    contest.enter(candidate(0.73))
    assert not contest.decide()
    contest.score_instant(0.76, is_of_strokes=False)
    assert contest.decide()
    assert contest.shown == "instant"


def test_on_kept_strokes_the_network_takes_over_when_it_is_better_and_stays_until_it_is_far_behind() -> None:
    assert contest_of(0.70, 0.70, is_of_strokes=True).shown == "instant"
    contest = contest_of(0.70, 0.701, is_of_strokes=True)
    assert contest.shown == "network"
    assert not contest.is_doubtful
    enter(contest, 0.74, 0.65, is_of_strokes=True)
    assert not contest.decide()
    assert contest.is_doubtful
    enter(contest, 0.76, 0.65, is_of_strokes=True)
    assert contest.decide()
    assert contest.shown == "instant"
    assert not contest.is_doubtful


def test_scores_of_held_out_boxes_are_taken_at_their_word_again() -> None:
    contest = contest_of(0.70, 0.701, is_of_strokes=True)
    enter(contest, 0.74, 0.70, is_of_strokes=False)
    assert contest.decide()
    assert contest.shown == "instant"


@pytest.mark.parametrize("is_of_strokes", [False, True])
def test_without_a_margin_equal_scores_change_nothing(is_of_strokes: bool) -> None:
    contest = Contest(0.0, 0.0)
    enter(contest, 0.5, 0.5, is_of_strokes)
    assert not contest.decide()
    contest.shown = "network"
    assert not contest.decide()


def test_worse_weights_are_not_taken_unless_new_strokes_came() -> None:
    contest = Contest(0.02, 0.1)
    assert contest.enter(candidate(0.6, 1))
    assert not contest.enter(candidate(0.5, 2))
    contest.expire()
    assert contest.enter(candidate(0.5, 3))
    assert contest.best is not None
    assert contest.best.step == 3


def test_without_a_network_the_instant_model_is_shown() -> None:
    contest = Contest(0.0, 0.0)
    contest.score_instant(0.5, is_of_strokes=True)
    contest.enter(candidate(0.9))
    contest.decide()

    assert contest.concede()
    assert contest.shown == "instant"
    assert not contest.concede()


def rounds_of(scores: list[float]) -> Rounds:
    rounds = Rounds()
    for score in scores:
        rounds.painted()
        rounds.scored(score)
    return rounds


@pytest.mark.parametrize(
    ("scores", "saturated"),
    [
        ([], False),
        ([0.5, 0.5, 0.5, 0.5], False),  # too early to tell
        ([0.5, 0.6, 0.68, 0.74, 0.79], False),
        ([0.3, 0.5, 0.80, 0.79, 0.81, 0.80, 0.80], True),
        ([0.80, 0.78, 0.76, 0.75, 0.74], True),
    ],
)
def test_painting_is_enough_when_the_score_stays_flat(scores: list[float], saturated: bool) -> None:
    found, text = rounds_of(scores).verdict()

    assert found == saturated
    assert text.endswith(".")


def test_within_a_round_the_best_score_counts() -> None:
    rounds = Rounds()
    for score in (0.5, 0.7, 0.6):
        rounds.scored(score)

    assert rounds.scores == [0.7]


def test_a_plan_that_cannot_learn_live_is_refused() -> None:
    with pytest.raises(InvalidInput, match="single voxels"):
        LivePlan(instant=tiny_network()).check()
    with pytest.raises(InvalidInput, match="instances"):
        LivePlan(network=load_recipe("neurites")).check()
    LivePlan().check()


class WrittenTiles:
    """Notes what a painter writes."""

    def __init__(self) -> None:
        self.told: list[tuple[Box, float] | None] = []

    def write(self, box: Box, probabilities: torch.Tensor) -> None:
        self.told.append((box, float(probabilities)))

    def wait(self) -> None:
        """Noted as None."""
        self.told.append(None)


def test_all_that_waits_is_answered_at_once_before_any_tile_is_predicted() -> None:
    written = WrittenTiles()
    painter = ViewPainter(Box((0, 0, 0), (8, 300, 128)), (1.0, 1.0, 1.0), written)  # type: ignore[arg-type]
    view = View(Box((2, 0, 0), (3, 300, 128)), 1)
    near, *others = painter.waiting(view)
    assert len(others) == 2

    def at_once(box: Box) -> torch.Tensor | None:
        return None if box == near else torch.tensor(0.25)

    while not painter.is_done(view):
        painter.advance(view, lambda box: torch.tensor(0.75), at_once)

    predicted = [(box, 0.75) for box in (near, *others)]
    assert written.told == [*((box, 0.25) for box in others), None, *predicted, None]
    painter.renew()
    painter.advance(view, lambda box: torch.tensor(0.75), at_once)
    assert written.told[-1] == (others[0], 0.25)
