"""Ranges in which settings of decoders are worth trying."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TunedRange:
    """The range in which a tuning tries a number of a decoder; of a choice, all of it is tried.

    Parameters
    ----------
    low, high : float, optional
        Ends of the range; those of the setting by default.
    is_logarithmic : bool
        Whether equal ratios count as equal steps, as for lengths and volumes.
    regroups : bool
        Whether another value leaves the supervoxels as they are and changes only which of them are dropped or grouped;
        the decoder's slider always does.
    """

    low: float | None = None
    high: float | None = None
    is_logarithmic: bool = False
    regroups: bool = False
