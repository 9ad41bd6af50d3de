"""What every decoder must do; tests subclass and name settings, and what a prediction must offer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.decoding.base import DecoderSettings, Decoding, voxels_of_um3
from napari_pytc.decoding.evidence import Evidence, EvidenceReader
from napari_pytc.decoding.jobs import SegmentJob
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.metrics.partitions import ContingencyTable
from tests.support.contexts import RecordingContext
from tests.support.evidence import prediction_of
from tests.support.tissue import MEMBRANE, make_tissue

SHAPE: Shape = (20, 40, 44)


def disagreement(labels: np.ndarray, truth: np.ndarray) -> float:
    """Sum of both parts of the variation of information, in bits."""
    table = ContingencyTable()
    table.add(labels, truth)
    return sum(table.variation_of_information())


def labels_of(folder: Path | str) -> np.ndarray:
    """The segment of each voxel of a segmentation."""
    segmentation = Segmentation.open(folder)
    return segmentation.segments[segmentation.supervoxels.read(Box.of_shape(segmentation.shape))]


class DecoderContract:
    """Subclasses give `settings`, and `offers` if a decoder needs other channels."""

    settings: DecoderSettings
    offers: tuple[str, ...] = ("near", "far")
    worst = 0.2
    worst_blockwise = 0.05

    @pytest.fixture(scope="class")
    @classmethod
    def tissue(cls):
        return make_tissue(SHAPE, 9, seed=3)

    @pytest.fixture(scope="class")
    @classmethod
    def prediction(cls, tissue, tmp_path_factory) -> Path:
        cells = np.where(tissue.classes == MEMBRANE, 0, tissue.cells)
        return prediction_of(tmp_path_factory.mktemp("contract") / "prediction", cells, tissue.space, cls.offers)

    @pytest.fixture(scope="class")
    @classmethod
    def evidence(cls, prediction) -> Evidence:
        return EvidenceReader.open(prediction).read(Box.of_shape(SHAPE))

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, evidence, tissue) -> Decoding:
        return cls.settings.decode(evidence, tissue.space)

    def segment(self, prediction: Path, output: Path, **options) -> dict:
        job = SegmentJob(prediction=prediction, decoder=self.settings, output=output, **options)
        return job.run(RecordingContext())

    def test_its_settings_travel_as_json_and_are_known_by_name(self):
        again = DecoderSettings.parse(self.settings.model_dump(mode="json"))
        assert again == self.settings
        assert type(DecoderSettings.parse(self.settings.kind)) is type(self.settings)

    def test_every_setting_can_be_shown_in_a_form(self):
        assert type(self.settings).title
        assert (type(self.settings).__doc__ or "").strip()
        for name, field in type(self.settings).model_fields.items():
            if name != "kind":
                assert field.title, name
                assert field.description, name

    def test_what_has_no_effect_changes_nothing(self, evidence, whole, tissue):
        names = self.settings.without_effect(evidence.kind)
        assert names <= set(type(self.settings).model_fields)
        changed = {name: 0.37 for name in names if isinstance(getattr(self.settings, name), float)}
        again = self.settings.model_copy(update=changed).decode(evidence, tissue.space)
        np.testing.assert_array_equal(again.labels, whole.labels)

    def test_finds_the_cells(self, whole, tissue):
        inside = (tissue.classes != MEMBRANE) & (whole.labels > 0)
        assert inside.sum() > 0.7 * (tissue.classes != MEMBRANE).sum()
        assert disagreement(whole.labels[inside], tissue.cells[inside]) < self.worst

    def test_ids_count_from_1_in_order_of_their_first_voxels(self, whole):
        found, first = np.unique(whole.supervoxels, return_index=True)
        found, first = found[found > 0], first[found > 0]
        assert whole.supervoxels.dtype == np.uint32
        np.testing.assert_array_equal(found, np.arange(1, len(whole.segments)))
        assert (np.diff(first) > 0).all()

    def test_a_segment_is_called_by_its_smallest_supervoxel(self, whole):
        assert whole.segments.dtype == np.uint32
        assert whole.segments[0] == 0
        for segment in np.unique(whole.segments):
            assert np.flatnonzero(whole.segments == segment)[0] == segment

    def test_the_graph_is_of_these_supervoxels(self, whole):
        edges = whole.graph.edges.astype(np.int64)
        assert (edges[:, 0] > 0).all()
        assert (edges[:, 0] < edges[:, 1]).all()
        assert (edges < len(whole.segments)).all()
        assert ((whole.graph.scores >= 0) & (whole.graph.scores <= 1)).all()
        assert whole.classes.shape == whole.segments.shape

    def test_the_same_evidence_gives_the_same_again(self, evidence, whole, tissue):
        again = self.settings.decode(evidence, tissue.space)
        np.testing.assert_array_equal(again.supervoxels, whole.supervoxels)
        np.testing.assert_array_equal(again.segments, whole.segments)

    def test_nothing_is_smaller_than_asked(self, evidence, tissue):
        settings = self.settings.model_copy(update={"smallest_um3": 0.001})
        labels = settings.decode(evidence, tissue.space).labels
        assert np.bincount(labels.ravel())[np.unique(labels[labels > 0])].min() >= voxels_of_um3(0.001, tissue.space)

    def test_what_was_not_predicted_is_background(self, evidence, tissue):
        predicted = np.ones(SHAPE, bool)
        predicted[:, :, 30:] = False
        labels = self.settings.decode(_with(evidence, predicted=predicted), tissue.space).labels
        assert not labels[~predicted].any()
        assert labels[predicted].any()

    def test_a_prediction_of_nothing_has_no_segments(self, evidence, tissue):
        decoding = self.settings.decode(_with(evidence, predicted=np.zeros(SHAPE, bool)), tissue.space)
        assert not decoding.supervoxels.any()
        assert len(decoding.segments) == 1
        assert len(decoding.graph) == 0

    @pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
    def test_a_constant_prediction_is_decoded(self, evidence, tissue, value):
        arrays = {
            name: np.full_like(getattr(evidence, name), value)
            for name in ("boundary", "affinities", "distance", "classes", "masks")
            if getattr(evidence, name) is not None
        }
        labels = self.settings.decode(_with(evidence, **arrays), tissue.space).labels
        assert len(np.unique(labels)) <= 2

    @pytest.mark.parametrize("corner", [(1, 40, 44), (1, 1, 1), (20, 1, 44)])
    def test_one_section_is_decoded(self, evidence, tissue, corner):
        part = _cut(evidence, Box.of_shape(corner))
        assert self.settings.decode(part, tissue.space).supervoxels.shape == corner

    def test_thick_sections_are_decoded(self, evidence):
        decoding = self.settings.decode(evidence, VoxelSpace((45, 4.6, 4.6)))
        assert decoding.supervoxels.shape == SHAPE

    def test_a_prediction_of_the_wrong_kind_is_refused_in_one_sentence(self, tissue):
        evidence = Evidence(classes=np.ones((1, *SHAPE), np.float32), class_names=("axon",))
        with pytest.raises(InvalidInput, match="the prediction has the classes axon") as error:
            self.settings.decode(evidence, tissue.space)
        assert error.value.message.count(". ") == 0
        assert error.value.hint

    def test_one_block_is_the_whole(self, prediction, whole, tmp_path):
        result = self.segment(prediction, tmp_path / "one", block_shape=SHAPE)
        segmentation = Segmentation.open(tmp_path / "one")
        np.testing.assert_array_equal(labels_of(tmp_path / "one"), whole.labels)
        np.testing.assert_array_equal(segmentation.segments, whole.segments)
        np.testing.assert_array_equal(segmentation.graph.edges, whole.graph.edges)
        np.testing.assert_allclose(segmentation.graph.scores, whole.graph.scores, atol=1e-6)
        np.testing.assert_array_equal(segmentation.graph.contacts, whole.graph.contacts)
        np.testing.assert_allclose(segmentation.graph.places, whole.graph.places, atol=1e-4)
        assert result["n_segments"] == len(np.unique(whole.segments)) - 1

    @pytest.mark.parametrize("block", [(10, 20, 22), (20, 16, 44), (7, 40, 13)])
    def test_blocks_give_about_the_whole(self, prediction, whole, tmp_path, block):
        self.segment(prediction, tmp_path / "blocks", block_shape=block)
        assert disagreement(labels_of(tmp_path / "blocks"), whole.labels) <= self.worst_blockwise

    def test_the_number_of_workers_changes_nothing(self, prediction, tmp_path):
        for workers in (1, 3):
            self.segment(prediction, tmp_path / str(workers), block_shape=(10, 20, 22), workers=workers)
        one, three = (Segmentation.open(tmp_path / name) for name in ("1", "3"))
        np.testing.assert_array_equal(labels_of(one.folder), labels_of(three.folder))
        np.testing.assert_array_equal(one.graph.scores, three.graph.scores)
        assert one.record.checksum == three.record.checksum


def _with(evidence: Evidence, **changes) -> Evidence:
    names = [*Evidence.__dataclass_fields__]
    return Evidence(**({name: getattr(evidence, name) for name in names} | changes))


def _cut(evidence: Evidence, box: Box) -> Evidence:
    names = ("boundary", "affinities", "distance", "foreground", "classes", "predicted", "barrier", "masks")
    arrays = {name: getattr(evidence, name) for name in names}
    return _with(evidence, **{name: a[(..., *box.slices)] for name, a in arrays.items() if a is not None})
