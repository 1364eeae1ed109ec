import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from bassdiff.audio.loudness import loudness_lufs
from bassdiff.evaluation import charts, extremes, report, webpage
from bassdiff.evaluation.result_folder import TASKS, read_folder
from bassdiff.metrics.table import Column, Row, Score, Table
from bassdiff.runtime.errors import InputError

HOSTILE = "<script>alert('A&B')</script>\"><img src=http://evil.example/x>"


class Reader(HTMLParser):
    """Collects what a page would load, its elements by tag, and its text."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def read(path):
    return path.read_text(encoding="utf-8")


def loads_nothing(page):
    """Nothing in the page has an address but its own parts and its own data."""
    for _, attributes in Reader(page).elements:
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
                assert value.startswith(("data:", "#")), (name, value[:80])
    assert not re.search(r"url\(\s*['\"]?(?!#)", page)
    assert "@import" not in page and '<link rel="stylesheet"' not in page
    return True


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "metrics.jsonl"
    lines = [json.dumps({"step": step, "loss": 2 / (1 + step)}) for step in range(1000)]
    lines[::100] = [
        json.dumps({"step": step, "loss": 1.0, "validation/own_mix": 0.5, "bad": float("nan")})
        for step in range(0, 1000, 100)
    ]
    # As a run leaves it that is stopped while it writes.
    path.write_text("\n".join([*lines, '{"step": 1000, "lo']))
    return path


@pytest.fixture(scope="module")
def page(evaluation_folder, tmp_path_factory, log):
    out = tmp_path_factory.mktemp("report") / "new" / "folder"
    return read(report.write_report(evaluation_folder, out, log))


@pytest.fixture(autouse=True)
def quick(page, monkeypatch):
    """Pages after the first, which is looked at, have no pictures: they take most of the time."""
    monkeypatch.setattr(extremes, "picture_uri", lambda mix, bass: "data:,")


def test_page_holds_every_task_and_loads_nothing(page):
    assert loads_nothing(page)
    reader = Reader(page)
    sections = [attributes["id"] for attributes in reader.all("section")]
    assert sections == [*TASKS, "training", "listen", "about"]
    assert reader.all("html") == [{"lang": "en"}]
    assert "<title>bassdiff small: evaluation</title>" in page
    assert len(reader.all("table")) == len(TASKS)
    assert len(page) < 5e6
    policy = next(m["content"] for m in reader.all("meta") if "http-equiv" in m)
    assert policy.startswith("default-src 'none'")


def test_system_is_emphasised_and_anchors_are_named(page):
    reader = Reader(page)
    classes = [attributes.get("class") for attributes in reader.all("tr")]
    assert classes.count("system") == 9  # the style table has settings and anchors only
    assert page.count('<span class="tag">anchor</span>') == classes.count("anchor") == 12


def test_numbers_have_intervals_and_their_column_s_digits(page):
    assert re.search(r"0\.210<small>0\.190 to 0\.230</small>", page)
    assert "−18.0<small>−18.5 to −17.5</small>" in page


def test_the_system_stands_beside_the_true_bass(page):
    cards = page[page.index('<ul class="cards">') : page.index("<nav")]
    what = re.findall(r'<span class="what">(.*?)</span>', cards)
    # No more of a table that has no such columns, and nothing of the judge's own.
    assert what == ["harmony top-1", "rhythm percentile"]
    assert cards.count("<small>bassdiff</small>") == 2
    assert cards.count("<dt>true bass</dt>") == cards.count("<dt>chance</dt>") == 2


def test_the_codec_s_card_is_not_the_system_s(own_evaluation, tmp_path):
    keep_only(own_evaluation, "music")
    table = json.loads((own_evaluation / "music.json").read_text())
    column = {**table["columns"][0], "name": "pitch_kept", "label": "keeps", "chance": None}
    table["columns"].append(column)
    codec = next(row for row in table["rows"] if row["name"] == "codec")
    codec["scores"]["pitch_kept"] = codec["scores"]["harmony_top1"]
    (own_evaluation / "music.json").write_text(json.dumps(table))
    cards = read(report.write_report(own_evaluation, tmp_path / "out")).partition("<nav")[0]
    assert re.search(r"keeps</span>\s*<b>[\d.]+</b>\s*<small>codec</small>", cards)


def test_every_table_says_what_was_played(own_evaluation, tmp_path):
    keep_only(own_evaluation, "music", "longform")
    table = json.loads((own_evaluation / "longform.json").read_text())
    about = {"num_clips": 2, "num_songs": 2, "seconds": [300.4, 280], "segment_seconds": 60}
    (own_evaluation / "longform.json").write_text(json.dumps({**table, "about": about}))
    text = read(report.write_report(own_evaluation, tmp_path / "out"))
    assert "8 clips from 7 songs" in text
    assert "2 songs of up to 300 s, in segments of 60 s" in text


def test_distances_by_two_embedders_are_both_shown(own_evaluation, tmp_path):
    keep_only(own_evaluation, "distances")
    table = json.loads((own_evaluation / "distances.json").read_text())
    other = json.dumps({**table, "task": "distances-log_mel"})
    (own_evaluation / "distances-log_mel.json").write_text(other)
    text = read(report.write_report(own_evaluation, tmp_path / "out"))
    assert 'id="distances"' in text and 'id="distances-log_mel"' in text


def test_no_number_has_a_minus_of_its_own():
    column = Column("a", "a", "", digits=4)
    assert charts.number(-0.00001, column) == "0.0000" and charts.number(-1, column) == "−1.0000"


def test_legends_lie_below_the_curves(evaluation_folder):
    table = read_folder(evaluation_folder).tables["longform"]
    for chart in charts.minutes(table):
        heights = {
            word: float(re.search(rf' y="([\d.]+)"[^>]*>{word}<', chart)[1])
            for word in ("minute of the song", "bassdiff", "true bass")
        }
        assert heights["minute of the song"] < heights["bassdiff"] < heights["true bass"]


def test_what_is_not_known_is_a_dash(page):
    section = page[page.index('id="distances"') : page.index('id="style"')]
    row = section[section.index("shuffled") :]
    row = row[: row.index("</tr>")]
    assert row.count("–") == 2 and "nan" not in page.lower().split("base64,")[0]


def test_help_is_read_without_hovering(page):
    assert page.count("Share of basses that fit their mix better") >= 2
    assert "<dt>harmony top-1</dt><dd>Share of basses" in page


def test_charts_have_texts_for_those_who_do_not_see_them(page):
    reader = Reader(page)
    pictures = reader.all("svg")
    # 3 dots and 4 histograms of music, 2 of matching, 2 distances, 2 of memorisation, 2 dots and
    # a frontier of style, 1 and 2 of longform, 2 of the codec, 2 dots of ablation, 2 sweeps of
    # guidance, 1 of solvers and 1 of steps, dots and lines of the sweep, 2 curves, 1 of control.
    assert len(pictures) == 3 + 4 + 2 + 2 + 2 + 3 + 3 + 2 + 2 + 4 + 2 + 2 + 1
    assert all(a["role"] == "img" and len(a["aria-label"]) > 20 for a in pictures)
    assert all(a["alt"] for a in reader.all("img"))
    assert "loss over" in page and "bad over" not in page


def test_parts_of_charts_are_not_mistaken_for_one_another(page):
    ids = [a["id"] for _, a in Reader(page).elements if "id" in a]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r"url\(#([^)]+)\)", page))
    assert used <= set(ids)


def test_best_and_worst_clips_are_played(page):
    listen = page[page.index('id="listen"') :]
    songs = re.findall(r"<h4>(.*?)</h4>", listen)
    assert songs == [f"Song {number}" for number in (0, 1, 2, 5, 6, 7)]
    assert listen.index("Best 3") < listen.index("Song 0") < listen.index("Worst 3")
    assert "mean rank over" in listen
    assert len(Reader(listen).all("audio")) == 6 * 4
    assert all(a["aria-label"] for a in Reader(listen).all("audio"))


def test_mixdowns_are_equally_loud_and_do_not_clip(page):
    players = Reader(page[page.index('id="listen"') :]).all("audio")
    for start in range(0, len(players), 4):
        loudness = []
        for player in players[start : start + 2]:
            data = base64.b64decode(player["src"].partition("base64,")[2])
            samples, rate_hz = soundfile.read(io.BytesIO(data))
            assert samples.ndim == 1 and np.abs(samples).max() < 1
            loudness.append(loudness_lufs(samples, rate_hz))
        assert abs(loudness[0] - loudness[1]) < 0.5
        assert loudness[0] == pytest.approx(-20, abs=0.5)


def test_loud_peaks_make_all_softer_by_the_same():
    quiet, spiky = np.full(44100, 0.01), np.zeros(44100)
    quiet[::2] *= -1
    spiky[::4410] = 0.9
    gains = webpage.matching_gains([quiet, spiky])
    assert np.abs(gains[1] * spiky).max() <= 0.9
    loudness = [loudness_lufs(g * s, 44100) for g, s in zip(gains, (quiet, spiky), strict=True)]
    assert loudness[0] == pytest.approx(loudness[1], abs=0.1) and loudness[0] < -21
    assert webpage.matching_gains([np.zeros(44100)]) == [1.0]


def test_mixdown_is_as_long_as_its_mix():
    mix = np.ones(5, np.float32)
    assert webpage.mixdown(mix, np.ones(3, np.float32)).tolist() == [2, 2, 2, 1, 1]
    assert webpage.mixdown(mix, np.ones(9, np.float32)).tolist() == [2] * 5


def keep_only(folder, *tasks):
    """Charts take time to draw: leaves only the tables that a test is about."""
    for task in set(TASKS) - set(tasks):
        (folder / f"{task}.json").unlink()


def test_hostile_names_are_only_text(own_evaluation, tmp_path):
    keep_only(own_evaluation, "music")
    clips = json.loads((own_evaluation / "clips.json").read_text())
    for clip in clips:
        clip["song"] = HOSTILE
    (own_evaluation / "clips.json").write_text(json.dumps(clips[:1]))
    table = json.loads((own_evaluation / "music.json").read_text())
    table["title"] = table["rows"][1]["label"] = table["columns"][0]["label"] = HOSTILE
    table["columns"][0]["help"] = table["about"]["note"] = HOSTILE
    (own_evaluation / "music.json").write_text(json.dumps(table))
    about = {"weights": {"name": HOSTILE}, HOSTILE: "$x$ {{ 7 * 7 }}"}
    (own_evaluation / "about.json").write_text(json.dumps(about))
    text = read(report.write_report(own_evaluation, tmp_path / "out"))
    assert loads_nothing(text)
    assert "<script>alert" not in text and "<img src=http" not in text
    assert len(Reader(text).all("script")) == 1
    assert "$x$ {{ 7 * 7 }}" in text


def test_tables_alone_make_a_page(own_evaluation, tmp_path):
    keep_only(own_evaluation, "distances", "longform")
    (own_evaluation / "clips.json").unlink()
    text = read(report.write_report(own_evaluation, tmp_path / "out"))
    sections = [attributes["id"] for attributes in Reader(text).all("section")]
    assert sections == ["distances", "longform", "about"]


def test_without_scores_of_clips_the_first_ones_are_played(own_evaluation, tmp_path):
    keep_only(own_evaluation, "distances")
    clips = json.loads((own_evaluation / "clips.json").read_text())
    (own_evaluation / "clips.json").write_text(json.dumps(clips[4:6]))
    text = read(report.write_report(own_evaluation, tmp_path / "out"))
    assert re.findall(r"<h4>(.*?)</h4>", text) == ["Song 4", "Song 5"]
    assert "Nothing is known of single clips" in text


def _one_row_table(**scores):
    columns = (
        Column("a", "a", "", "higher"),
        Column("b", "b", "", "lower"),
        Column("c", "c", "", "none"),
    )
    rows = {name: Score(0.5, 0.0, 1.0, per_clip) for name, per_clip in scores.items()}
    return Table("music", "", {}, columns, (Row("model", "model", "system", rows),))


def test_clips_are_ranked_by_columns_that_say_which_is_better():
    nan = float("nan")
    table = _one_row_table(a=(0.9, 0.1, 0.9, nan), b=(3.0, 1.0, 2.0, nan), c=(9.0, 8.0, 7.0, 6.0))
    ranks, columns = extremes.ranked_clips(table, table.rows[0], 4)
    # a: 1.5, 3, 1.5; b: 3, 1, 2.
    np.testing.assert_allclose(ranks, [2.25, 2.0, 1.75, nan])
    assert [column.name for column in columns] == ["a", "b"]
    ranks, columns = extremes.ranked_clips(table, table.rows[0], 5)
    assert np.isnan(ranks).all() and not columns


def test_a_histogram_counts_whole_ranks():
    table = _one_row_table(a=(1.0, 1.0, 12.0, float("nan")))
    (chart,) = charts.rank_histograms(table, "a")
    assert "67% of 3 clips have rank 1" in chart


def test_charts_need_something_to_show():
    table = _one_row_table()
    assert charts.dots(table.rows, table.columns[0]) is None
    assert charts.frontier(table) is None
    assert charts.rank_histograms(table) == charts.minutes(table) == []
    assert charts.sweeps(table) == {}


def test_an_old_page_survives_a_failure(evaluation_folder, tmp_path, monkeypatch):
    (tmp_path / "index.html").write_text("old")

    def fail(*_):
        raise InputError("cannot be drawn")

    monkeypatch.setattr(extremes, "picture_uri", fail)
    with pytest.raises(InputError):
        report.write_report(evaluation_folder, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert read(tmp_path / "index.html") == "old"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("about.json", None, "no about.json.*bassdiff evaluate music --out DIR"),
        ("about.json", "{", "is not JSON"),
        ("about.json", "[]", "not a JSON object"),
        ("about.json", "\udcff", "cannot be read"),
        ("music.json", "{}", "music.json"),
        ("music.json", "nonsense", "music.json"),
        ("clips.json", '[{"name": 1}]', "not a list of clips"),
        (
            "clips.json",
            '[{"name": "../../a", "song": "a", "start_seconds": 0, "seconds": 1}]',
            "not a list of clips",
        ),
        ("clips.json", "nonsense", "is not JSON"),
    ],
)
def test_a_spoilt_folder_is_named(own_evaluation, tmp_path, name, content, message):
    if content is None:
        (own_evaluation / name).unlink()
    else:
        (own_evaluation / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message):
        report.write_report(own_evaluation, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_without_results_is_named(tmp_path):
    (tmp_path / "about.json").write_text("{}")
    with pytest.raises(InputError, match=r"none of the results.*bassdiff evaluate music --out"):
        report.write_report(tmp_path, tmp_path / "out")


def test_a_page_needs_a_folder(evaluation_folder, tmp_path):
    (tmp_path / "file").write_text("")
    for out in ("file", "file/inside"):
        with pytest.raises(InputError, match="cannot be made a folder"):
            report.write_report(evaluation_folder, tmp_path / out)


def test_a_spoilt_training_log_is_named(evaluation_folder, tmp_path):
    log = tmp_path / "metrics.jsonl"
    with pytest.raises(InputError, match="cannot be read"):
        report.write_report(evaluation_folder, tmp_path / "out", log)
    log.write_text('{"loss": 1}\n{"step": 1, "loss": 1}\n')
    with pytest.raises(InputError, match="line 1 is not a record"):
        report.write_report(evaluation_folder, tmp_path / "out", log)
