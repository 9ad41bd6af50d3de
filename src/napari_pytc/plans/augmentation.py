"""Settings of the random changes of training patches."""

from __future__ import annotations

from typing import Any, Literal

from napari_pytc.settings import Settings, setting


class Augmentation(Settings):
    """Frequency of each random change of a training patch."""

    flips: bool = setting(
        True, "Flips", "Mirror along every axis; turns by 90 degrees go with it unless turns says otherwise."
    )
    turns: Literal["with_flips", "always", "never"] = setting(
        "with_flips",
        "Turns by 90 degrees",
        "Turn by 90 degrees in the plane where the patch is square, and out of it where patch and voxels are cubic. "
        "with_flips: where flips are on.",
    )
    affine: float = setting(0.2, "Rotation and scale", "Probability of a small rotation and scaling.", ge=0, le=1)
    elastic: float = setting(
        0.0,
        "Elastic deformation",
        "Probability of a smooth deformation; in the plane alone where sections are more than twice as thick as their "
        "pixels.",
        ge=0,
        le=1,
    )
    elastic_shift: float = setting(
        4.0,
        "Elastic shift",
        "Largest usual shift of an elastic deformation, in the plane. None is more than a quarter of the distance of "
        "two nodes of its grid, so that nothing folds: 8 voxels, and fewer in small patches.",
        "voxels",
        gt=0,
        le=8,
    )
    contrast: float = setting(0.5, "Contrast", "Probability of a random brightness, contrast and gamma.", ge=0, le=1)
    noise: float = setting(0.2, "Noise", "Probability of Gaussian noise.", ge=0, le=1)
    blur: float = setting(0.1, "Blur", "Probability of a Gaussian blur of single sections.", ge=0, le=1)
    stripes: float = setting(
        0.0,
        "Stripes",
        "Probability of bright and dark stripes at any angle, in a few sections, or in all as an ion beam leaves them.",
        ge=0,
        le=1,
    )
    missing_section: float = setting(
        0.05, "Missing section", "Probability that a section is blank or badly torn in contrast.", ge=0, le=1
    )
    misaligned_section: float = setting(
        0.05, "Misaligned section", "Probability that a section, or all after it, is shifted in the plane.", ge=0, le=1
    )
    cut_out: float = setting(
        0.0,
        "Cut-out",
        "Probability that up to three boxes of a patch are blank; their labels stay, so that the network learns to "
        "bridge them.",
        ge=0,
        le=1,
    )
    cut_blur: float = setting(
        0.0, "Cut-blur", "Probability that a box of a patch has two to four times coarser pixels.", ge=0, le=1
    )
    cut_noise: float = setting(0.0, "Cut-noise", "Probability of Gaussian noise in a box of a patch.", ge=0, le=1)
    copy_paste: float = setting(
        0.0,
        "Copy and paste objects",
        "Probability that up to three objects of a patch are copied to places without one. Only objects all around "
        "which is annotated are copied: dense labels, not strokes.",
        ge=0,
        le=1,
    )
    mixup: float = setting(
        0.0,
        "Mixup",
        "Probability that each patch of a batch is blended with another one. The loss of either patch's labels counts "
        "by its share, where that patch is annotated.",
        ge=0,
        le=1,
    )

    @property
    def has_turns(self) -> bool:
        """Whether patches are turned by 90 degrees."""
        return self.flips if self.turns == "with_flips" else self.turns == "always"

    def identity(self) -> dict[str, Any]:
        """Settings by which a training is recognised as the same, as JSON values.

        Those that came after version 0.2 are left out where they change nothing.
        """
        found: dict[str, Any] = self.model_dump(mode="json")
        if not self.elastic:
            del found["elastic_shift"]
        off = {name: type(self).model_fields[name].default for name in _LATER}
        return {name: value for name, value in found.items() if name not in off or value != off[name]}


_LATER = ("turns", "elastic", "stripes", "cut_out", "cut_blur", "cut_noise", "copy_paste", "mixup")
