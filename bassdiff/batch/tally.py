"""The figures of a job: its progress, and its summary."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class Tally:
    """What has become of the songs of a job.

    Attributes:
      played: How many were played now.
      kept: How many were there already.
      failed: How many have an error, now or from before.
      audio_seconds: Length of what was played now.
      wall_seconds: Since the job began.
      idle_share: Of the time since the first song was heard, what the devices waited.
    """

    played: int = 0
    kept: int = 0
    failed: int = 0
    audio_seconds: float = 0.0
    wall_seconds: float = 0.0
    idle_share: float = 0.0

    @property
    def songs_per_hour(self) -> float:
        """How many were played an hour of the job."""
        return 3600.0 * self.played / max(self.wall_seconds, 1e-9)
