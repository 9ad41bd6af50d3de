"""Specs of volumes: how to read them is the same for every kind of file, and those of older projects are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from napari_pytc.volumes.spec import ChunkedSpec, Hdf5Spec, ReadOptions, SectionsSpec, TiffSpec, VolumeSpec

ANY: TypeAdapter[Any] = TypeAdapter(VolumeSpec)
OPTIONS = ReadOptions(voxel_size_nm=(40, 4, 4), channel=1, axes="tczyx", time=2, missing_sections="blank", labels=True)


@pytest.mark.parametrize("kind", get_args(get_args(VolumeSpec)[0]))
def test_every_spec_says_how_to_read(kind: type[ReadOptions]) -> None:
    needed = {name: "a" for name, field in kind.model_fields.items() if field.is_required()}
    needed |= {"driver": "zarr3"} if kind is ChunkedSpec else {}
    spec = kind.model_validate(needed | OPTIONS.model_dump())
    assert spec.read_options == OPTIONS
    assert type(spec.read_options) is ReadOptions
    again = ANY.validate_json(spec.model_dump_json())
    assert again == spec
    assert set(OPTIONS.model_dump()) <= set(json.loads(spec.model_dump_json()))  # flat, beside kind and path


@pytest.mark.parametrize(
    ("written", "spec"),
    [
        ({"kind": "hdf5", "path": "/a.h5", "dataset": "raw"}, Hdf5Spec(path=Path("/a.h5"), dataset="raw")),
        ({"kind": "tiff", "path": "/a.tif", "series": 0}, TiffSpec(path=Path("/a.tif"), series=0)),
        ({"kind": "sections", "path": "/a", "suffix": ".png"}, SectionsSpec(path=Path("/a"), suffix=".png")),
    ],
)
def test_specs_of_version_0_2_are_read(written: dict[str, Any], spec: Any) -> None:
    assert ANY.validate_python({"voxel_size_nm": None, "channel": None, **written}) == spec


@pytest.mark.parametrize(
    "wrong", [{"axes": "zz"}, {"channel": -1}, {"time": -1}, {"missing_sections": "black"}, {"voxel_size": 3}]
)
def test_what_is_no_option_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ReadOptions.model_validate(wrong)
