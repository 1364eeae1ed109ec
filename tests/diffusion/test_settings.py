import dataclasses

import numpy as np
import pytest

from bassdiff.diffusion import settings
from bassdiff.diffusion.chain import chain
from bassdiff.diffusion.editing import Windowed
from bassdiff.diffusion.guidance import CFG, GUIDANCES, CFGpp
from bassdiff.diffusion.sampling import make_guidance, make_window, noise_levels
from bassdiff.diffusion.settings import FITTED, Sampling, setting_fields
from bassdiff.runtime.errors import InputError

FRAME_SECONDS = 2048 / 44100
NAMES = settings.setting_names()
LEVELS = (80.0, 4.0, 1.0, 0.4)


@pytest.mark.parametrize("kind", GUIDANCES)
def test_every_guidance_has_a_name_and_a_weight(kind):
    sampling = Sampling(guidance_kind=kind, guidance=5.0)
    links = make_guidance(sampling)
    assert chain(*links).links == links
    assert len(links) == {"none": 0, "threshold": 2}.get(kind, 1)


def test_plain_weights_are_converted_for_cfgpp():
    (link,) = make_guidance(Sampling(guidance_kind="cfgpp", guidance=7.5))
    assert isinstance(link, CFGpp)
    assert float(link.scale) == pytest.approx(0.6)
    (link,) = make_guidance(Sampling(guidance=7.5))
    assert link == CFG(7.5, np.float32(0.7))


def test_fitted_levels_are_used_as_they_are():
    sampling = Sampling(schedule=FITTED, levels=LEVELS, steps=4)
    np.testing.assert_allclose(noise_levels(sampling), LEVELS, rtol=1e-6)
    more = noise_levels(dataclasses.replace(sampling, steps=7))
    np.testing.assert_allclose(more[::2], LEVELS, rtol=1e-6)


@pytest.mark.parametrize("schedule", ["cosine", "karras", "log_linear", FITTED])
@pytest.mark.parametrize("sigma_max", [0.02, 0.5, 80.0])
def test_a_variation_begins_lower_and_still_descends(schedule, sigma_max):
    sampling = Sampling(schedule=schedule, levels=LEVELS, steps=6, sigma_min=0.3)
    sigmas = noise_levels(sampling, sigma_max)
    assert sigmas[0] == pytest.approx(sigma_max, rel=1e-3)
    assert np.all(np.diff(sigmas) < 0) and sigmas[-1] > 0


def test_songs_are_heard_at_once_until_they_are_long():
    assert make_window(Sampling(), 13824, FRAME_SECONDS) == chain()
    assert make_window(Sampling(), 41472, FRAME_SECONDS) == Windowed(3072, 2304)
    assert make_window(Sampling(window_seconds=60.0), 512, FRAME_SECONDS) == Windowed(1280, 960)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"solver": "x"}, "unknown solver 'x'; choose among euler"),
        ({"schedule": FITTED}, "no levels for the schedule 'fitted'; choose among cosine"),
        ({"guidance_kind": "x"}, "choose among none, cfg"),
        ({"grounding": "x"}, "choose among mean, moments, replacement"),
        ({"steps": 1}, "choose a value from 2 to 256"),
        ({"levels": (3.0, 3.0)}, "levels are .* choose positive ones that descend"),
        ({"levels": (3.0, float("nan"))}, "levels are"),
        ({"levels": ("3", "2")}, "levels are"),
        ({"levels": (10**400, 2)}, "levels are"),
        ({"rescale": 2.0}, "choose a value from 0.0 to 1.0"),
    ],
)
def test_what_cannot_be_sampled_with_is_refused(settings, words):
    with pytest.raises(InputError, match=words):
        Sampling(**settings)


@pytest.mark.parametrize("kind", GUIDANCES)
def test_a_weight_of_one_is_no_guidance(kind):
    """And costs none: the network is asked once."""
    links = make_guidance(Sampling(guidance_kind=kind, guidance=1.0))
    assert len(links) == (1 if kind == "threshold" else 0)
    assert not any(hasattr(link, "scale") for link in links)


def test_every_setting_is_declared_with_all_that_is_said_of_it():
    for field in setting_fields():
        assert field.metadata["help"], field.name
        if field.type == "str":
            assert field.default in NAMES[field.name]
        else:
            assert field.metadata["low"] <= field.default <= field.metadata["high"]
    # What the help of a name lists, exists.
    for field in setting_fields():
        if field.name in ("guidance_kind", "grounding", "schedule"):
            said = field.metadata["help"].replace(",", " ").split()
            assert set(NAMES[field.name]) <= set(said)
