"""Trials score as decoding and evaluating do, and make nothing twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.annotations.label_source import ArrayLabels
from napari_pytc.decoding import AgglomerationDecoder, DecoderSettings
from napari_pytc.decoding.evidence import EvidenceReader
from napari_pytc.geometry import Box
from napari_pytc.metrics import ContingencyTable, evaluate_instances
from napari_pytc.tuning.regions import EvidenceStore, TruthRegion
from napari_pytc.tuning.scores import scores_of
from napari_pytc.tuning.trial_scoring import TrialScorer
from tests.tuning.bench import SHAPE, SPACE, cells_of, predict

WHOLE = Box.of_shape(SHAPE)
KINDS = DecoderSettings.variants()


def scorer_of(reader: EvidenceReader, regions: list[TruthRegion]) -> TrialScorer:
    return TrialScorer(regions, EvidenceStore(reader, 1e9), SPACE, reader.shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("smallest", [0.0, 0.0004])
def test_the_scores_of_a_trial_are_those_of_decoding_and_evaluating(tmp_path: Path, kind: str, smallest: float) -> None:
    cells = cells_of()
    reader = EvidenceReader.open(predict(tmp_path, cells, ("near", "far", "boundary", "distance")))
    decoder = KINDS[kind].model_validate({"smallest_um3": smallest})
    labels = decoder.decode(reader.read(WHOLE), SPACE).labels
    expected = evaluate_instances(ArrayLabels(labels), ArrayLabels(cells))
    found = scorer_of(reader, [TruthRegion(WHOLE, WHOLE, cells, None)]).score(decoder)
    assert labels.any()
    assert (found.voi_split, found.voi_merge) == pytest.approx((expected["voi_split"], expected["voi_merge"]))
    assert found.adapted_rand == pytest.approx(expected["arand"])
    assert (found.ap50, found.ap) == pytest.approx((expected["average_precision_50"], expected["average_precision"]))


def test_voxels_that_are_not_known_and_the_context_count_for_nothing(tmp_path: Path) -> None:
    cells = cells_of()
    reader = EvidenceReader.open(predict(tmp_path, cells))
    box = Box((2, 4, 4), (10, 36, 40))
    known = np.zeros(box.shape, bool)
    known[:, 6:20] = True
    decoder = AgglomerationDecoder()
    labels = decoder.decode(reader.read(WHOLE), SPACE).labels[box.slices]
    table = ContingencyTable()
    table.add(labels[known], cells[box.slices][known])
    found = scorer_of(reader, [TruthRegion(box, WHOLE, cells[box.slices], known)]).score(decoder)
    assert (found.voi_split, found.voi_merge) == pytest.approx(table.variation_of_information())


def test_supervoxels_are_made_once_for_settings_that_only_group_them(tmp_path: Path) -> None:
    cells = cells_of()
    reader = EvidenceReader.open(predict(tmp_path, cells))
    scorer = scorer_of(reader, [TruthRegion(WHOLE, WHOLE, cells, None)])
    found = {
        scorer.score(AgglomerationDecoder(threshold=threshold, smallest_um3=smallest)).voi
        for threshold in (0.2, 0.5, 0.9)
        for smallest in (0.0, 0.0005, 0.002)
    }
    assert scorer.n_decoded == 1
    assert len(found) > 2
    scorer.score(AgglomerationDecoder(seed_distance_um=0.05))
    assert scorer.n_decoded == 2
    scorer.score(AgglomerationDecoder(threshold=0.3))
    assert scorer.n_decoded == 2


def test_of_several_boxes_each_is_decoded_by_itself_and_weighs_as_its_voxels(tmp_path: Path) -> None:
    cells = cells_of()
    reader = EvidenceReader.open(predict(tmp_path, cells))
    boxes = [Box((0, 0, 0), (12, 40, 16)), Box((0, 0, 24), (12, 20, 44))]
    regions = [TruthRegion(box, box, cells[box.slices], None) for box in boxes]
    decoder = AgglomerationDecoder()
    alone = [scorer_of(reader, [region]).score(decoder) for region in regions]
    together = scorer_of(reader, regions).score(decoder)
    weights = [box.size for box in boxes]
    assert together.voi == pytest.approx(np.average([one.voi for one in alone], weights=weights))
    assert together.adapted_rand == pytest.approx(np.average([one.adapted_rand for one in alone], weights=weights))
    assert min(one.ap50 for one in alone) <= together.ap50 <= max(one.ap50 for one in alone)


def test_a_box_weighs_in_the_adapted_rand_error_as_its_voxels_in_objects() -> None:
    full, sparse = np.repeat([1, 2], 50), np.repeat([0, 1, 2], [80, 10, 10])
    pairs = [(np.ones(100, np.int64), full), (sparse, sparse)]
    tables = [ContingencyTable() for _ in pairs]
    for table, (predicted, truth) in zip(tables, pairs, strict=True):
        table.add(predicted, truth)
    merged, perfect = (table.adapted_rand_error() for table in tables)
    assert (merged > 0.3, perfect) == (True, 0.0)
    found = scores_of(tables)
    assert found.adapted_rand == pytest.approx((100 * merged + 20 * perfect) / 120)
    assert found.voi_merge == pytest.approx(0.5), "all voxels are compared: one bit in half of them"


def test_evidence_is_read_once_where_it_fits_and_again_where_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = cells_of()
    reader = EvidenceReader.open(predict(tmp_path, cells))
    n_read: list[Box] = []
    read = reader.read
    monkeypatch.setattr(reader, "read", lambda box: (n_read.append(box), read(box))[1])
    for most_bytes, expected in ((1e9, 1), (10.0, 3)):
        n_read.clear()
        store = EvidenceStore(reader, most_bytes)
        scores = [
            TrialScorer([TruthRegion(WHOLE, WHOLE, cells, None)], store, SPACE, SHAPE).score(AgglomerationDecoder()).voi
            for _ in range(3)
        ]
        assert len(n_read) == expected
        assert len(set(scores)) == 1
