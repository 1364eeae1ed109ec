"""Checks that requested devices exist."""

from __future__ import annotations

import os

from bassdiff.runtime.errors import InputError


def check_devices() -> None:
    """Checks that JAX finds the devices that `JAX_PLATFORMS` names.

    Raises:
      InputError: There is no such device.
    """
    import jax

    wanted = os.environ.get("JAX_PLATFORMS")
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        # Without the variable, JAX uses the devices that it finds, so the error is another one.
        if not wanted:
            raise
        raise InputError(
            f"JAX_PLATFORMS is {wanted!r}, and there is no such device here; unset it, or install "
            "what drives the device, such as bassdiff[cuda]"
        ) from error
