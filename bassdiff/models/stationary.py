"""The best linear denoiser of latents, as a part of the network.

For a stationary Gaussian process, the Wiener filter is the optimal denoiser. It follows in closed
form from the latents' covariance and power spectra, and removes most of the noise at low levels,
which a network would otherwise have to learn through many narrow layers.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from bassdiff.diffusion.types import Array

# Length of the spectra. Filters reach half as far on either side, less one frame: 1.4 s.
PERIOD_FRAMES = 64
_TAPS = PERIOD_FRAMES // 2 - 1


class StationaryDenoiser(nn.Module):
    """The share of F in D = c_skip x + c_out F that makes D a Wiener filter.

        W x = basis (S / (S + sigma^2) * (basis^T x)),   F = (c_skip x - W x) / (sigma c_in)

    with a power spectrum S over time for each direction of the basis.

    Attributes:
      num_channels: C.
    """

    num_channels: int

    @nn.compact
    def __call__(self, x: Array, sigma: Array) -> Array:
        """Maps `x` `[B, T, C]`, which is c_in times the noisy latents at `sigma` `[B]`, to F.

        Fresh parameters assume white latents of unit variance, for which F is 0.
        """
        size = self.num_channels
        # Not trained: the basis would drift from being orthonormal.
        basis = jax.lax.stop_gradient(self.param("basis", lambda *_: jnp.eye(size)))
        log_spectrum = self.param(
            "log_spectrum", nn.initializers.zeros_init(), (PERIOD_FRAMES // 2 + 1, size)
        )
        log_spectrum = jax.lax.stop_gradient(log_spectrum)
        level = sigma[:, None, None]
        spectrum = jnp.exp(log_spectrum)[None]
        gain = spectrum / (spectrum + jnp.square(level))  # [B, 33, C]
        taps = jnp.einsum("nk,bkc->bnc", _cosines(), gain)  # [B, 32, C]
        turned = x @ basis
        count = x.shape[1]
        padded = jnp.pad(turned, ((0, 0), (_TAPS, _TAPS), (0, 0)))
        filtered = turned * taps[:, :1]
        for tap in range(1, _TAPS + 1):
            before = padded[:, _TAPS - tap : _TAPS - tap + count]
            after = padded[:, _TAPS + tap : _TAPS + tap + count]
            filtered = filtered + (before + after) * taps[:, tap : tap + 1]
        # c_skip x is projected too: if the basis is not quite orthonormal, x would leave a residue.
        share = (1.0 + jnp.square(level)) / level * (turned - filtered) - level * turned
        return share @ basis.T


def _cosines() -> np.ndarray:
    """`[32, 33]`: a symmetric filter's taps from its gains, an inverse FFT as a matrix.

    An FFT would gather the rows of a sharded batch on every device.
    """
    tap, bin_ = np.ogrid[: _TAPS + 1, : PERIOD_FRAMES // 2 + 1]
    twice = np.where((bin_ == 0) | (bin_ == PERIOD_FRAMES // 2), 1.0, 2.0)
    table = twice * np.cos(2 * np.pi * tap * bin_ / PERIOD_FRAMES) / PERIOD_FRAMES
    return table.astype(np.float32)


def stationary_init(latents: np.ndarray) -> dict[str, np.ndarray]:
    """Parameters of a `StationaryDenoiser` from data.

    Args:
      latents: `[n, T, C]` crops of normalised latents.

    Returns:
      `basis` `[C, C]` and `log_spectrum` `[33, C]`, float32.
    """
    values = latents.astype(np.float64) - latents.mean(axis=(0, 1), dtype=np.float64)
    flat = values.reshape(-1, values.shape[-1])
    _, basis = np.linalg.eigh(flat.T @ flat / len(flat))
    size = min(PERIOD_FRAMES, values.shape[1])
    window = np.hanning(size)
    whole = values.shape[1] // size * size
    pieces = (values[:, :whole] @ basis).reshape(-1, size, values.shape[-1])
    spectra = np.abs(np.fft.rfft(pieces * window[None, :, None], PERIOD_FRAMES, axis=1)) ** 2
    power = spectra.mean(axis=0) / np.sum(window**2)
    return {
        "basis": basis.astype(np.float32),
        "log_spectrum": np.log(power + 1e-6).astype(np.float32),
    }
