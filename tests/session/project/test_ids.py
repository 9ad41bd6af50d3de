from __future__ import annotations

from datetime import UTC, datetime

from napari_pytc.session.project.ids import model_stem, natural_key, new_id, plain


def test_an_id_that_is_taken_gets_the_first_free_number() -> None:
    taken = {"a", "a-2", "a-4"}
    assert new_id("a", taken.__contains__) == "a-3"
    assert new_id("b", taken.__contains__) == "b"


def test_a_stem_sorts_by_age_and_is_a_folder_name_on_any_system() -> None:
    early, late = datetime(2026, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC)
    assert model_stem("My Recipe/..\\x", early) == "20260203-0405-my-recipe-x"
    assert model_stem("zebra", early) < model_stem("ant", late)
    assert plain("../") == "custom"
    assert len(plain("x" * 200)) == 40


def test_numbers_in_ids_are_compared_as_numbers() -> None:
    assert sorted(["m-10", "m-9", "m"], key=natural_key) == ["m", "m-9", "m-10"]
