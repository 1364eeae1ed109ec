"""What bassdiff/docs/clusters.md says: its commands, variables, links and sums."""

import re
import shlex
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from bassdiff.cli import main as cli
from bassdiff.cli.configs import read_config
from bassdiff.diffusion.types import Cond
from bassdiff.models.unet import UNet
from bassdiff.pretrained.release import load_codecs
from bassdiff.runtime.errors import InputError

ROOT = Path(__file__).parents[2]
SCRIPT = (ROOT / "launch" / "tpu_vm.sh").read_text(encoding="utf-8")
DOCS = ROOT / "bassdiff" / "docs"
README = (DOCS / "clusters.md").read_text(encoding="utf-8")
MANIFESTS = [path.read_text(encoding="utf-8") for path in (ROOT / "launch" / "gke").iterdir()]


def shell(text):
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def rows(text, first_header):
    """The cells of a table, row by row."""
    (table,) = re.findall(rf"^\| {first_header} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[c.strip() for c in line.strip("|").split("|")] for line in table.splitlines()]


def check_bassdiff_commands(text):
    """They parse, wherever they stand in a line, and configs have the keys that are set."""
    commands = [
        *(re.sub(r"^.*? babysit ", "train ", line) for line in shell(text) if "babysit " in line),
        *(re.sub(r"^.*?bassdiff\) ", "", line) for line in shell(text) if "systemd-run" in line),
        *(x.removeprefix("bassdiff ") for x in shell(text) if x.startswith("bassdiff ")),
    ]
    assert len(commands) == 6
    for command in commands:
        arguments, rest = cli.parser().parse_known_args(shlex.split(command))
        assert all(word.startswith("--config.") for word in rest)
        if config := getattr(arguments, "config", None):
            assert read_config(str(ROOT / config), rest).objective == arguments.objective


def check_verbs(text):
    (usage,) = re.findall(r"usage: launch/tpu_vm.sh (.*)", SCRIPT)
    verbs = {words.split()[0] for words in usage.split(" | ")}
    told = {w.split()[0] for row in rows(text, "command") for w in re.findall("`(.*?)`", row[0])}
    assert told - {"running"} == verbs
    called = {x.split()[1] for x in shell(text) if x.startswith("launch/tpu_vm.sh")}
    assert called == {"babysit", "delete"}


def variables_of(script, manifests):
    """The variables that a user may set, and those that are read."""
    settable = set(re.findall(r"^([A-Z_]+)=\$\{\1:-", script, re.MULTILINE))
    own = set(re.findall(r"^([A-Z_]+)=(?!\$\{\1)", script, re.MULTILINE))
    read = {
        *re.findall(r"\$\{?([A-Z][A-Z_]+)", script),
        *re.findall(r"\(\([^)]*?\b([A-Z][A-Z_]+)", script),
    }
    held = {name for text in manifests for name in re.findall(r"\$\{(\w+)\}", text)}
    return settable | held, (read - own) | held


def check_variables(text):
    """Those that are told are those that can be set and those that are read; so are defaults."""
    table = [(n, row[2]) for row in rows(text, "variable") for n in re.findall(r"`(\w+)`", row[0])]
    settable, read = variables_of(SCRIPT, MANIFESTS)
    assert {name for name, _ in table} == settable == read
    defaults = dict(re.findall(r"^([A-Z_]+)=\$\{\1:-(.*)\}$", SCRIPT, re.MULTILINE))
    for name, default in table:
        if defaults.get(name):
            assert default.strip("`") == defaults[name], name


def check_links(text):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        assert (DOCS / target.partition("#")[0]).exists(), target
    for name in re.findall(r"launch/[\w/.-]+\w", " ".join(shell(text))):
        assert (ROOT / name).exists(), name
    for row in rows(text, "file"):
        for name in re.findall("`(.+?)`", row[0]):
            assert list((ROOT / "launch").glob(name)), name
    for name in re.findall(r"python -m launch\.(\w+)", text):
        assert (ROOT / "launch" / f"{name}.py").exists(), name


def config_of(size):
    return read_config(f"{ROOT}/configs/diffusion.py:{size}", [])


def check_estimates(text):
    """Hours and dollars follow from the formula."""
    config = config_of("base")
    work = 3e9 * float(re.search(r"F = ([\d.]+) GFLOP", text)[1])
    work *= config.batch_size * config.num_steps
    for _, devices, peak, hours, price, cost in rows(text, "machine"):
        for u, hour, dollars in zip((0.3, 0.1), hours.split("–"), cost.split("–"), strict=True):
            expected = work / (int(devices) * float(peak) * 1e12 * u * 3600)
            assert float(hour) == pytest.approx(expected, abs=0.06)
            assert float(dollars) == pytest.approx(expected * float(price), rel=0.01)


def check_work(text):
    """The work is what XLA counts."""
    config = config_of("base")
    mix_codec, bass_codec = load_codecs("small")
    channels = bass_codec.model.num_channels
    model = UNet(num_channels=channels, **config.model, dtype=jnp.bfloat16)
    x = jnp.zeros((1, config.crop_frames, channels))
    mix = jnp.zeros((1, config.crop_frames, mix_codec.model.num_channels))
    cond = Cond(mix, jnp.ones(1), jnp.full(1, config.crop_frames, jnp.int32))
    params = jax.eval_shape(model.init, jax.random.key(0), x, jnp.ones(1), cond)
    counted = jax.jit(model.apply).lower(params, x, jnp.ones(1), cond).cost_analysis()["flops"]
    stated = float(re.search(r"F = ([\d.]+) GFLOP", text)[1]) * 1e9
    assert counted == pytest.approx(stated, rel=0.01)


@pytest.mark.parametrize(
    "check",
    [
        check_bassdiff_commands,
        check_verbs,
        check_variables,
        check_links,
        check_estimates,
        check_work,
    ],
)
def test_readme(check):
    check(README)


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (check_bassdiff_commands, "--config.data.latents=/bucket", "--config.data.latent=/bucket"),
        (check_bassdiff_commands, "bassdiff release --codecs", "bassdiff release --codec-s"),
        (check_verbs, "`create`, `delete`", "`create`"),
        (check_verbs, "tpu_vm.sh delete", "tpu_vm.sh remove"),
        (check_variables, "| `MAX_RESTARTS` |", "| `MAX_RETRIES` |"),
        (check_variables, "looks | 60 |", "looks | 30 |"),
        (check_links, "](faults.md)", "](fault.md)"),
        (check_links, "`roofline.py`", "`roof.py`"),
        (check_links, "-m launch.bench", "-m launch.benches"),
        (check_links, "launch/gke/v5e-16.yaml", "launch/gke/v5e.yaml"),
        (check_estimates, "7.7–23.1", "7.7–14.5"),
        (check_estimates, "| 71–214 |", "| 61–214 |"),
        (check_work, "F = 42.7 GFLOP", "F = 85.4 GFLOP"),
    ],
)
def test_a_fault_is_found(check, old, new):
    assert old in README
    with pytest.raises((AssertionError, InputError, SystemExit)):
        check(README.replace(old, new))


@pytest.mark.parametrize(
    "line", ["echo $REGION", "REGION=${REGION:-}", "if ((REGION)); then :; fi"]
)
def test_a_variable_without_a_row_is_found(line):
    settable, read = variables_of(f"{line}\n", [])
    assert "REGION" in settable | read
