"""The keys that all configs share."""

from __future__ import annotations

from ml_collections import ConfigDict


def run_config(objective: str) -> ConfigDict:
    """A config with the keys of every run, which a config file completes.

    Args:
      objective: The verb's argument in `bassdiff train OBJECTIVE`.
    """
    config = ConfigDict()
    config.objective = objective
    # Root of all random numbers.
    config.seed = 0
    # The largest norm of a gradient.
    config.gradient_clip = 1.0
    # Devices along (data, fsdp); -1 takes all that the other leaves.
    config.mesh = ConfigDict(dict(data=-1, fsdp=1))
    # A step that takes longer has hung.
    config.step_seconds = 600.0
    # Processes that read examples; 0 reads in threads, which is enough for latents.
    config.num_read_workers = 0
    return config


def latent_data(**more: str) -> ConfigDict:
    """The keys of training on latents; each is a folder, or several, weighted, as DIR*2+DIR*1."""
    return ConfigDict(dict(latents="", validation_latents="", **more))


def default_sampling() -> ConfigDict:
    """The settings that a U-Net is evaluated with, and that its weights bring as defaults."""
    return ConfigDict(
        dict(
            solver="dpmpp2m_sde",
            schedule="cosine",
            steps=32,
            sigma_min=0.3,
            guidance_kind="interval",
            guidance=5.0,
            rescale=0.7,
        )
    )
