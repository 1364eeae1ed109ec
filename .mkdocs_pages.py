"""Pages of the site that are made when it is built: the README, the card, and the API."""

import re
from pathlib import Path

from mkdocs.structure.files import File

import bassdiff

ROOT = Path(__file__).parent
# Files outside bassdiff/docs that are pages of the site.
OUTSIDE = {
    "README.md": "index.md",
    "bassdiff/pretrained/small/CARD.md": "card.md",
    ".github/CONTRIBUTING.md": "contributing.md",
    ".github/CHANGELOG.md": "changelog.md",
}


def on_config(config):
    """Add the API to the navigation."""
    config.nav.append({"API": [f"api/{name}.md" for name in _api()]})
    return config


def on_files(files, config):
    """Add the pages that are not files in bassdiff/docs."""
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=_page(ROOT / source)))
    for name, content in _api().items():
        files.append(File.generated(config, f"api/{name}.md", content=content))
    return files


def on_page_markdown(markdown, page, config, files):
    """Point links of pages in bassdiff/docs to pages of the site."""
    source = page.file.abs_src_path
    return _relinked(markdown, Path(source).parent) if source else markdown


def _page(path):
    return _relinked(path.read_text(encoding="utf-8"), path.parent)


def _relinked(text, folder):
    """Links between files become links between pages; links to other files become plain text."""

    def relink(link):
        words, target = link[1], link[2]
        name, _, anchor = target.partition("#")
        path = (folder / name).resolve() if name else None
        if path is None or path.parent == ROOT / "bassdiff" / "docs":
            return f"[{words}]({path.name if path else ''}{'#' + anchor if anchor else ''})"
        page = OUTSIDE.get(path.relative_to(ROOT).as_posix())
        return f"[{words}]({page})" if page else words

    return re.sub(r"\[([^\]]*)\]\((?!https?:)([^)\s]+)\)", relink, text)


def _api():
    """The text of every API page: what `import bassdiff` offers, then a page per room."""
    public = [f"- [`{name}`][bassdiff.{home}.{name}]\n" for name, home in bassdiff._HOMES.items()]
    pages = {"index": f"# `bassdiff`\n\n`import bassdiff` offers\n\n{''.join(public)}"}
    for room in sorted((ROOT / "bassdiff").glob("*/__init__.py")):
        names = [
            path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
            for path in sorted(room.parent.rglob("*.py"))
            if not path.name.startswith("_")
        ]
        if names:
            entries = "".join(f"::: {name}\n\n" for name in names)
            pages[room.parent.name] = f"# `bassdiff.{room.parent.name}`\n\n{entries}"
    return pages
