"""Neuroglancer over a loopback server: layers that are read where the browser looks at them."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

import neuroglancer
import numpy as np
from neuroglancer import local_volume
from neuroglancer import server as neuroglancer_server

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import ArrayReader
from napari_pytc.geometry import Box
from napari_pytc.volumes.channel_colours import channel_colour

LOOPBACK = "127.0.0.1"
_TOKEN_BYTES = 20
LayerKind = Literal["image", "probabilities", "segments"]


@dataclass(frozen=True)
class ServedLayer:
    """A layer to show.

    Parameters
    ----------
    kind : "image", "probabilities" or "segments"
        How it is drawn: in grey, or of several channels each in a colour, added up; one channel at a time in colour; or
        an id a colour.
    ranges : tuple of (float, float)
        Of an image, for each channel the intensities that are black and white; those of the type by default.
    """

    name: str
    array: ArrayReader
    kind: LayerKind
    ranges: tuple[tuple[float, float], ...] = ()


class LazyVoxels:
    """An array as Neuroglancer's `LocalVolume` slices it: each request reads one box."""

    def __init__(self, array: ArrayReader) -> None:
        self._array = array
        self._lock = threading.Lock()  # not every format may be read by several threads
        n_channels = len(array.channels)
        self.shape = (n_channels, *array.shape) if n_channels else array.shape
        self.dtype, self.ndim = np.dtype(array.dtype), len(self.shape)

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        ranges = [(int(one.start), int(one.stop)) for one in index]
        box = Box(tuple(a for a, _ in ranges[-3:]), tuple(b for _, b in ranges[-3:]))  # type: ignore[arg-type]
        with self._lock:
            data = self._array.read(box)
        return data[index[0]] if self.ndim == 4 else data


class LazyVolume(local_volume.LocalVolume):
    """A volume without meshes, which Neuroglancer would make of all voxels in memory."""

    def get_object_mesh(self, object_id: int) -> bytes:
        """Refuse: there are no meshes."""
        raise local_volume.MeshesNotSupportedForVolume


class NeuroglancerServer:
    """Serves layers to a browser on this machine until it is closed.

    Parameters
    ----------
    layers : sequence of ServedLayer
        Of one voxel size; shown from the bottom to the top.
    port : int
        0 for any that is free.

    Attributes
    ----------
    url : str
        Page of the viewer. The token in it is the only way in.
    layers : list of dict
        Name, type and address of the description (``info``) of each layer.
    """

    def __init__(self, layers: Sequence[ServedLayer], port: int = 0) -> None:
        _check_port(port)
        neuroglancer.set_server_bind_address(LOOPBACK, port)
        self._viewer = neuroglancer.Viewer(token=secrets.token_hex(_TOKEN_BYTES), allow_credentials=False)
        address = neuroglancer_server.get_server_url()
        volumes = [LazyVolume(LazyVoxels(one.array), **_placement(one)) for one in layers]
        with self._viewer.txn() as state:
            for one, volume in zip(layers, volumes, strict=True):
                state.layers.append(name=one.name, layer=_layer(one, volume), visible=one.kind != "probabilities")
            if layers:
                # The first two axes are those of the screen; volumes find theirs by name.
                state.dimensions = neuroglancer.CoordinateSpace(**_space("xyz", layers[0].array))
                state.position = list(reversed(_centre(layers[0].array)))
                state.layout = "4panel-alt" if layers[0].array.shape[0] > 1 else "xy"
        # Volumes are registered when the state becomes text, which the first browser causes otherwise.
        keys = [self._viewer.volume_manager.get_volume_key(volume) for volume in volumes]
        for volume in volumes:
            self._viewer.volume_manager.register_volume(volume)
        self.url: str = self._viewer.get_viewer_url()
        self.layers: list[dict[str, str]] = [
            {"name": one.name, "type": one.kind, "info": f"{address}/neuroglancer/info/{key}"}
            for one, key in zip(layers, keys, strict=True)
        ]

    def close(self) -> None:
        """Stop serving; the address leads nowhere from now on."""
        neuroglancer.stop()

    def __enter__(self) -> NeuroglancerServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_port(port: int) -> None:
    """Refuse a port that is taken; Neuroglancer's server would leave the failed socket open."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((LOOPBACK, port))
        except OSError as error:
            raise InvalidInput(
                f"Port {port} of {LOOPBACK} cannot be used: {error.strerror or error}.", "Choose another --port."
            ) from error


def _space(axes: str, array: ArrayReader) -> dict[str, Any]:
    """Axes with their units; voxels where the size is not known."""
    unit, size = ("nm", array.space.voxel_size_nm) if array.space.known else ("", (1.0, 1.0, 1.0))
    lengths = {"c": 1.0, **dict(zip("zyx", size, strict=True))}
    return {
        "names": [f"{a}^" if a == "c" else a for a in axes],
        "units": ["" if a == "c" else unit for a in axes],
        "scales": [lengths[a] for a in axes],
    }


def _placement(layer: ServedLayer) -> dict[str, Any]:
    array = layer.array
    offset = [0, 0, 0]
    if array.space.known:
        offset = [round(o / v) for o, v in zip(array.space.origin_nm, array.space.voxel_size_nm, strict=True)]
    has_channels = bool(array.channels)
    return {
        "dimensions": neuroglancer.CoordinateSpace(**_space("czyx" if has_channels else "zyx", array)),
        "voxel_offset": [0, *offset] if has_channels else offset,
        "volume_type": "segmentation" if layer.kind == "segments" else "image",
    }


def _layer(layer: ServedLayer, volume: LazyVolume) -> Any:
    if layer.kind == "segments":
        return neuroglancer.SegmentationLayer(source=volume, selected_alpha=0.4, not_selected_alpha=0.25)
    if layer.kind == "image":
        return _image_layer(layer, volume)
    n_channels = len(layer.array.channels)
    names = ", ".join(f"{k} {name}" for k, name in enumerate(layer.array.channels))
    pick = " else ".join(f"if (channel == {k}) v = toNormalized(getDataValue({k}));" for k in range(n_channels))
    shader = (
        f"// {names}\n"
        f"#uicontrol int channel slider(min=0, max={n_channels - 1}, default=0)\n"
        '#uicontrol vec3 color color(default="#ff8000")\n'
        f"void main() {{\n  float v = 0.0;\n  {pick}\n  emitRGBA(vec4(color, v));\n}}\n"
    )
    return neuroglancer.ImageLayer(source=volume, shader=shader, opacity=0.5)


def _image_layer(layer: ServedLayer, volume: LazyVolume) -> Any:
    """An image in grey, or of several channels the sum of their colours; each has a contrast, a colour and a switch."""
    names = layer.array.channels
    if not names:
        controls = {"normalized": {"range": list(layer.ranges[0])}} if layer.ranges else {}
        return neuroglancer.ImageLayer(
            source=volume,
            shader="#uicontrol invlerp normalized\nvoid main() { emitGrayscale(normalized()); }\n",
            shader_controls=controls,
        )
    lines = [f"// {', '.join(f'{k} {name}' for k, name in enumerate(names))}"]
    for k in range(len(names)):
        lines.append(f"#uicontrol invlerp contrast{k}(channel={k})")
        lines.append(f'#uicontrol vec3 color{k} color(default="{channel_colour(k, len(names), names[k])}")')
        lines.append(f"#uicontrol bool show{k} checkbox(default=true)")
    added = "".join(f"  if (show{k}) sum += color{k} * contrast{k}();\n" for k in range(len(names)))
    shader = "\n".join(lines) + f"\nvoid main() {{\n  vec3 sum = vec3(0.0);\n{added}  emitRGB(sum);\n}}\n"
    controls = {f"contrast{k}": {"range": list(one), "channel": [k]} for k, one in enumerate(layer.ranges)}
    return neuroglancer.ImageLayer(source=volume, shader=shader, shader_controls=controls)


def _centre(array: ArrayReader) -> list[float]:
    offset = _placement(ServedLayer("", array, "image"))["voxel_offset"]
    return [o + n / 2 for o, n in zip(offset[-3:], array.shape, strict=True)]
