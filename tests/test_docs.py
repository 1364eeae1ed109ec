"""The documentation builds as a site, without a warning."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bassdiff

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install -e '.[docs]'")
ROOT = Path(__file__).parents[1]


def build(config, site):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", site]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.slow
def test_the_site_builds_and_has_every_page(tmp_path):
    done = build(ROOT / ".mkdocs.yml", tmp_path)
    assert done.returncode == 0, done.stderr
    for page in (ROOT / "bassdiff" / "docs").glob("*.md"):
        assert (tmp_path / page.stem / "index.html").exists(), page.stem
    assert "Pasini" in (tmp_path / "index.html").read_text(encoding="utf-8")
    api = (tmp_path / "api" / "index.html").read_text(encoding="utf-8")
    for name in bassdiff._HOMES:
        assert f'.{name}"' in api, name
    sampler = (tmp_path / "api" / "diffusion" / "index.html").read_text(encoding="utf-8")
    assert 'id="bassdiff.diffusion.sampler.sample"' in sampler


@pytest.mark.parametrize("link", ["other.md", "index.md#part"])
def test_a_link_that_leads_nowhere_is_an_error(tmp_path, link):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.md").write_text(f"# Page\n\n[a link]({link})\n")
    config = tmp_path / "site.yml"
    config.write_text(
        f"INHERIT: {ROOT / '.mkdocs.yml'}\ndocs_dir: {pages}\nhooks: []\nplugins: []\n"
        "nav: [index.md]\n"
    )
    assert build(config, tmp_path / "site").returncode == 1
