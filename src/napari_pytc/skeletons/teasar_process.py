"""TEASAR in a process of its own, which can be ended at any moment: one segment may take minutes.

::

    request   a line of JSON (shape, start, segment, space, settings, number of bytes), then the mask, 8 voxels a byte
    reply     a line of JSON (numbers of nodes and edges, number of bytes), then nodes, edges and radii; or an error

Run as ``python -m napari_pytc.skeletons.teasar_process``; it ends when its input does.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any, BinaryIO

import numpy as np

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.skeletons.skeleton import Skeleton
from napari_pytc.skeletons.teasar import Teasar, skeletonise


def request_of(
    mask: np.ndarray, segment: int, space: VoxelSpace, start: Shape = (0, 0, 0), teasar: Teasar | None = None
) -> bytes:
    """A request for a skeleton; parameters as of `skeletonise`."""
    voxels = np.packbits(mask).tobytes()
    head = {
        "shape": mask.shape,
        "start": start,
        "segment": int(segment),
        "space": asdict(space),
        "teasar": asdict(teasar or Teasar()),
        "n_bytes": len(voxels),
    }
    return json.dumps(head).encode() + b"\n" + voxels


def read_reply(received: bytes, segment: int) -> tuple[Skeleton, bytes] | None:
    """The skeleton at the beginning of what was received, and the rest; None while it is not whole.

    Raises
    ------
    PytcError
        If the skeleton could not be made.
    """
    line, is_whole, body = received.partition(b"\n")
    if not is_whole:
        return None
    head = json.loads(line)
    if "error" in head:
        raise PytcError(head["error"])
    if len(body) < head["n_bytes"]:
        return None
    n, m = head["n_nodes"], head["n_edges"]
    nodes, radii = np.frombuffer(body, float, 3 * n), np.frombuffer(body, float, n, offset=24 * n)
    edges = np.frombuffer(body, np.int64, 2 * m, offset=32 * n)
    return Skeleton(segment, nodes.reshape(n, 3), edges.reshape(m, 2), radii), body[head["n_bytes"] :]


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until there are no more."""
    while line := requests.readline():
        head = json.loads(line)
        voxels = requests.read(head["n_bytes"])
        if len(voxels) < head["n_bytes"]:  # whoever asked is gone
            return
        replies.write(_answered(head, voxels))
        replies.flush()


def _answered(head: dict[str, Any], voxels: bytes) -> bytes:
    shape = tuple(head["shape"])
    mask = np.unpackbits(np.frombuffer(voxels, np.uint8), count=int(np.prod(shape))).reshape(shape).astype(bool)
    space, teasar = VoxelSpace(**head["space"]), Teasar(**head["teasar"])
    try:
        found = skeletonise(mask, head["segment"], space, tuple(head["start"]), teasar)
    except MemoryError:
        error = {"error": f"There is not enough memory for the skeleton of segment {head['segment']}."}
        return json.dumps(error).encode() + b"\n"
    parts = (found.nodes_nm.astype(float), found.radii_nm.astype(float), found.edges.astype(np.int64))
    body = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
    reply = {"n_nodes": found.n_nodes, "n_edges": len(found.edges), "n_bytes": len(body)}
    return json.dumps(reply).encode() + b"\n" + body


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
