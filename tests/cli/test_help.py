"""Help says everything, and shells complete it."""

import argparse
import shutil
import subprocess

import pytest

from bassdiff.cli import main as cli


def parsers(parser, name="bassdiff"):
    """Every verb and task, with its parser."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, sub in action.choices.items():
                yield from parsers(sub, f"{name} {word}")


ALL = dict(parsers(cli.parser()))


@pytest.mark.parametrize("name", ALL)
def test_every_option_is_explained_with_its_default(name):
    parser = ALL[name]
    text = " ".join(parser.format_help().split())
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._SubParsersAction):
            continue
        assert action.help, action.dest
        default = action.default
        if action.option_strings and default not in (None, False, [], "", argparse.SUPPRESS):
            shown = action.help.split("%")[0].split("(")[0].strip()
            said = text[text.rindex(" ".join(shown.split())) :]
            assert "(" in said[: len(shown) + 120], action.dest


def test_a_default_is_that_of_the_option(capsys):
    with pytest.raises(SystemExit):
        cli.main(["generate", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "basses to play (default: 1)" in text
    assert "draw OUT as a picture (default: on)" in text
    assert "2 to 256: noise levels (the weights')" in text


@pytest.mark.parametrize(
    ("task", "listed", "left_out"),
    [
        ("longform", ["--songs", "--segment-seconds", "--steps"], ["--clips", "--bank", "--page"]),
        ("music", ["--bank", "--clips", "--pairs", "--report"], ["--songs", "--results"]),
        ("distances", ["--embedder"], ["--bank", "--training DIR", "--fail-if-gap-below"]),
        ("ablation", ["--fail-if-gap-below", "--sweep-clips"], ["--pairs", "--embedder"]),
        ("listen", ["--systems", "--page", "--results"], ["--data", "--steps", "--weights"]),
        ("report", ["--report", "--training-log"], ["--data", "--steps", "--kind"]),
    ],
)
def test_the_help_of_a_task_lists_its_own_options(capsys, task, listed, left_out):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["evaluate", task, "--help"])
    text = capsys.readouterr().out
    assert all(option in text for option in listed)
    assert not any(option in text for option in left_out)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_reads_its_script(shell, capsys, tmp_path):
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("generate", "--style-strength" if shell != "fish" else "style-strength", "app"):
        assert word in script
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        done = subprocess.run([shell, "-n", tmp_path / "script"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["bassdiff", "gen"], ["generate"]),
        (["bassdiff", "generate", "--style-s"], ["--style-strength"]),
        (["bassdiff", "evaluate", "longf"], ["longform"]),
        (["bassdiff", "evaluate", "longform", "--segm"], ["--segment-seconds"]),
        (["bassdiff", "evaluate", "longform", "--ban"], []),
        (["bassdiff", "train", "diff"], ["diffusion"]),
    ],
)
def test_bash_completes(words, found, capsys, tmp_path):
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    assert cli.main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    quoted = " ".join(f"'{word}'" for word in words)
    code = (
        f"source {tmp_path / 'script'}\nCOMP_WORDS=({quoted})\nCOMP_CWORD={len(words) - 1}\n"
        "$(complete -p bassdiff | sed 's/.*-F \\([^ ]*\\).*/\\1/') bassdiff "
        f"'{words[-1]}' '{words[-2]}'\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == found, done.stderr
