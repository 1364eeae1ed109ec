"""What every test of the project stands on: eight CPU devices and a strict JAX.

The environment is set before anything imports jax, since it is read only once.
"""

import functools
import importlib.util
import os
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
# Level 0 halves the time of compiling, of which tests do most.
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0 "
    # Eight devices on few busy cores wait for one another longer than XLA would let them.
    "--xla_cpu_collective_call_terminate_timeout_seconds=600"
)
if metadata.version("jaxlib").startswith("0.10."):
    # So does the older way to emit a fusion, by another third; later ones abort at an unknown flag.
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"
# Workers, and the commands that tests start, compile a program once between them. The folder is
# new for each run: no test may pass, or be fast, because an earlier run compiled its programs.
if "PYTEST_XDIST_WORKER" not in os.environ:
    programs = tempfile.TemporaryDirectory(prefix="bassdiff-tests-", ignore_cleanup_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = programs.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "true"

import jax
import jax.numpy as jnp
import numpy as np
import pretty_midi
import pytest

from bassdiff.diffusion.request import LatentLayout
from bassdiff.diffusion.statistics import Sounding
from bassdiff.diffusion.types import Cond
from bassdiff.models import chunked
from bassdiff.models.bass_codec import BassCodec
from bassdiff.models.mix_codec import MixCodec
from bassdiff.models.unet import UNet
from bassdiff.pretrained import codec, weights

jax.config.update("jax_numpy_rank_promotion", "raise")
USUAL_CHUNKS = chunked.CHUNK_FRAMES, chunked.CHUNKS_PER_CALL


def take_chunks(frames, per_call):
    """Sets how much audio codecs take at a time."""
    chunked.CHUNK_FRAMES = codec.CHUNK_FRAMES = frames
    chunked.CHUNKS_PER_CALL = per_call
    chunked.chunked.__defaults__ = (frames, *chunked.chunked.__defaults__[1:])


# Songs of tests are short: with the usual 48 s per call, most of a call would be padding.
take_chunks(64, 2)


def optimised(program):
    """A codec's program, optimised: it runs far more often than it is compiled."""
    options = {"xla_backend_optimization_level": 1}
    fast = jax.jit(program.__wrapped__, static_argnums=0, compiler_options=options)

    @functools.wraps(program)
    def run(*arguments):
        # Options belong to what is compiled by itself, not to a part of another program.
        is_part = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(arguments[1:]))
        return (program if is_part else fast)(*arguments)

    return run


codec._encode, codec._decode = optimised(codec._encode), optimised(codec._decode)
# What is kept of a trace would be compiled without the options.
codec.run_kept = lambda program, static, arguments, like: program(*static, *arguments)

BEAT_SECONDS = 0.5


# Of Chromium, which then needs neither a screen nor a microphone, and says nothing to others.
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium.

    Needs `pip install playwright` and a Chromium, found as CHROMIUM, or on the path, or as
    playwright's own.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        pytest.fail("these tests need playwright: pip install playwright")
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, filter(None, names))), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=found, args=SWITCHES)
        except Error as error:
            pytest.fail(
                f"these tests need Chromium: apt install chromium, or set CHROMIUM; {error}"
            )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def get_config():
    """Reads one of the configs that ship, such as `get_config("diffusion", "tiny")`."""

    def read(name, which):
        path = Path(__file__).parents[1] / "configs" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"config_{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.get_config(which)

    return read


@pytest.fixture
def usual_chunks():
    """The chunks of codecs at work, for what small ones round differently."""
    take_chunks(*USUAL_CHUNKS)
    yield
    take_chunks(64, 2)


@pytest.fixture
def rng():
    """A numpy generator of this test's own."""
    return np.random.default_rng(0)


@pytest.fixture
def compilations():
    """A list that grows by one with every program XLA compiles during the test."""
    compiled = []

    def listen(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield compiled
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture(scope="session")
def randomised():
    """Replaces every parameter by noise.

    Fresh networks have zero-initialised layers, behind which a fault cannot be seen.
    """

    def randomise(params, seed=0):
        leaves, structure = jax.tree.flatten(params)
        rng = np.random.default_rng(seed)
        noise = [
            rng.normal(size=leaf.shape).astype(np.float32) / max(1, np.prod(leaf.shape[:-1])) ** 0.5
            for leaf in leaves
        ]
        return jax.tree.unflatten(structure, noise)

    return randomise


@pytest.fixture(scope="session")
def make_cond():
    """Makes a `Cond` of noise; all frames real and no mix dropped unless told otherwise."""

    def make(batch, num_frames, channels, frames=None, keep=None, seed=0):
        mix = np.random.default_rng(seed).normal(size=(batch, num_frames, channels))
        return Cond(
            jnp.asarray(mix, jnp.float32),
            jnp.ones(batch) if keep is None else jnp.asarray(keep, jnp.float32),
            jnp.full(batch, num_frames, jnp.int32) if frames is None else jnp.asarray(frames),
        )

    return make


@pytest.fixture(scope="session")
def tiny_unet(randomised, make_cond):
    """A U-Net of three levels, attention on the last; its noise parameters; its jitted apply."""
    model = UNet(
        num_channels=4,
        widths=(8, 8, 12),
        num_blocks=1,
        attention_levels=(2,),
        num_heads=2,
        reach_frames=16,
    )
    cond = make_cond(1, 8, 3)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 4)), jnp.ones(1), cond)
    return model, randomised(shapes["params"]), jax.jit(model.apply)


@pytest.fixture(scope="session")
def tiny_layout():
    """What the four channels of `tiny_unet` mean: pitch, two of sound, and how it moves."""
    return LatentLayout(
        sound=np.asarray([0, 1, 1, 1], np.float32),
        dynamics=np.asarray([0, 0, 0, 1], np.float32),
        notes=np.zeros((1, 4), np.float32),
        note_codes=np.zeros((1, 4), np.float32),
        sounding=Sounding(np.zeros(4, np.float32), np.float32(1.0)),
    )


@pytest.fixture(scope="session")
def tiny_autoencoder(randomised):
    """A bass codec of the smallest useful sizes and its noise parameters."""
    model = BassCodec(num_spectrum_channels=3, num_dynamics_channels=1, decoder_width=8)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8 * 2048)))
    return model, randomised(shapes["params"])


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory, randomised):
    """A folder of untrained weights of the `tiny` sizes, enough for every command."""
    folder = tmp_path_factory.mktemp("weights")
    prints = {}
    for kind, model in (
        ("mix", MixCodec(8, num_long_bands=16, encoder_width=8, decoder_width=8)),
        ("bass", BassCodec(6, 2, decoder_width=8)),
    ):
        params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 8192)))["params"]
        if kind == "bass":
            # Levels are 10 nepers and more: untamed, they would drown the pitch.
            params["encoder"] = jax.tree.map(lambda leaf: 0.1 * leaf, params["encoder"])
        path = folder / f"{kind}_codec.safetensors"
        mean = np.zeros(model.num_channels, np.float32)
        prints[f"{kind}_codec"] = weights.save_codec(path, model, params, mean, 1.0, {})
    unet = UNet(
        model.num_channels,
        widths=(16, 24),
        num_blocks=1,
        attention_levels=(1,),
        num_heads=2,
        reach_frames=64,
    )
    cond = Cond(jnp.zeros((1, 8, 8)), jnp.ones(1), jnp.full(1, 8, jnp.int32))
    arguments = jax.random.key(0), jnp.zeros((1, 8, model.num_channels)), jnp.ones(1), cond
    params = jax.jit(unet.init)(*arguments)["params"]
    bindings = {**prints, "sampling": {"steps": 4}}
    # Noise of full size would send some samples to infinity.
    tame = jax.tree.map(lambda leaf: 0.5 * leaf, randomised(params))
    weights.save_unet(folder / "unet.safetensors", unet, tame, bindings, {})
    return folder


@pytest.fixture(scope="session")
def player(tiny_weights):
    """A generator of tiny weights, whose programs all tests share."""
    from bassdiff.inference import generator

    return generator.load(tiny_weights)


@pytest.fixture
def track():
    """Makes a track that plays one pitch a beat at 120 beats a minute."""

    def make(program, pitches, is_drum=False, name=""):
        instrument = pretty_midi.Instrument(program, is_drum=is_drum, name=name)
        instrument.notes = [
            pretty_midi.Note(100, pitch, i * BEAT_SECONDS, (i + 0.9) * BEAT_SECONDS)
            for i, pitch in enumerate(pitches)
        ]
        return instrument

    return make


@pytest.fixture
def write_midi():
    """Writes tracks as a MIDI file at 120 beats a minute."""

    def write(path, tracks):
        score = pretty_midi.PrettyMIDI(initial_tempo=120.0)
        score.instruments = list(tracks)
        score.write(str(path))
        return path

    return write


@pytest.fixture
def band(track):
    """Tracks of a four-beat song: bass, drums, piano."""
    return [
        track(33, [36, 43, 36, 43]),
        track(0, [36, 38, 36, 38], is_drum=True),
        track(0, [60, 64, 67, 64]),
    ]


@pytest.fixture
def midi_folder(tmp_path, write_midi, band):
    """A folder of seven MIDI files of the same four beats."""
    folder = tmp_path / "midi"
    folder.mkdir()
    for index in range(7):
        write_midi(folder / f"song{index}.mid", band)
    return folder


@pytest.fixture
def write_lead_sheet(track, write_midi):
    """A folder as in POP909: sixteen bars, a quarter of them for each chord."""

    def write(folder, labels=("F:maj/5", "N", "D:min", "C:7"), lasting=64):
        folder.mkdir(parents=True)
        tracks = [
            track(0, [72, 74, 76, 77] * (lasting // 4), name="MELODY"),
            track(0, [40, 60, 64, 67] * (lasting // 4), name="PIANO"),
        ]
        write_midi(folder / f"{folder.name}.mid", tracks)
        beats = np.arange(lasting + 1) * BEAT_SECONDS
        rows = [f"{t} {float(i % 2 == 0)} {float(i % 4 == 0)}" for i, t in enumerate(beats)]
        (folder / "beat_midi.txt").write_text("\n".join(rows))
        edges = np.linspace(0.0, beats[-1], len(labels) + 1)
        rows = [f"{a}\t{b}\t{c}" for a, b, c in zip(edges[:-1], edges[1:], labels, strict=True)]
        (folder / "chord_midi.txt").write_text("\n".join(rows) + "\n")
        return folder

    return write
