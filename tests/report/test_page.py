"""The page: its sections, its data, what it escapes, and what it leaves alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report.report_pages import (
    Tag,
    csv_of,
    diagnosed,
    evaluated,
    everything,
    parse,
    sampled,
    searched,
    traced,
    watched,
)
from spikewright.records import Record
from spikewright.report import write_html
from spikewright.report.figures import raster_info
from spikewright.report.page import answer, sentence

SECTIONS = [
    "accuracy", "trade-off", "rates", "sample", "diagnosis", "energy", "trace", "reproduce",
]  # fmt: skip
HOSTILE = "<script>alert('x')</script>\"&'=]]>--><b onload=y>\x00\x1b\u202e\ud800"


def page(path: Path, **parts: Any) -> Tag:
    """A page, written and parsed."""
    return parse(write_html(path / "page.html", **parts).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Tag:
    """A page with everything."""
    return page(tmp_path_factory.mktemp("full"), **everything())


def test_a_full_page_has_every_section_in_order(full: Tag) -> None:
    """Sections are headed, linked from the navigation, and none is empty."""
    headings = [section.all("h2")[0].attributes["id"] for section in full.all("section")]

    assert headings == SECTIONS
    (navigation,) = full.all("nav")
    assert [a.attributes["href"] for a in navigation.all("a")] == [f"#{key}" for key in SECTIONS]
    assert all(len(section.children) > 1 for section in full.all("section"))


def of_diagnosis(name: str, value: float, **how: Any) -> Record:
    """A record of a diagnosis."""
    return Record(name, value, "fraction", 64, None, {"steps": 8, "dt": 0.001, **how})


def test_the_diagnosis_says_in_words_what_was_measured(tmp_path: Path) -> None:
    """Timing apart from rounding, of scores or else of values; causes; nothing unmeasured."""
    cause = {"layer": "conv", "text": "it is <so>", "move": "Do this"}
    more = [
        of_diagnosis("rounded accuracy", 0.875, readout="mean"),
        of_diagnosis("spikes per active neuron", 1.25, readout="mean"),
        of_diagnosis("loss without its cause", 0.1, **cause),
    ]
    told = page(tmp_path, diagnosis=[*diagnosed(), *more])
    plain = page(tmp_path, diagnosis=diagnosed()).text
    values = [r for r in diagnosed() if not r.name.startswith(("accuracy", "source"))]
    values += [of_diagnosis("output change", 0.3), of_diagnosis("rounded output change", 0.125)]

    assert "the accuracy would be 87.5 %, where the run has 80.0 %" in told.text
    assert "For each active neuron of the source 1.25 spikes are sent." in told.text
    assert "conv: it is <so>. Do this." in [line.text for line in told.all("li")]
    assert not any(words in plain for words in ("early or late", "active neuron", "in words"))
    away = "The outputs are 30.0 % away from the source's, and would be 12.5 % away"
    assert away in page(tmp_path, diagnosis=values).text


@pytest.mark.parametrize(
    ("parts", "sections"),
    [
        ({}, []),
        ({"records": evaluated()}, ["accuracy", "trade-off", "rates", "energy"]),
        ({"diagnosis": diagnosed()}, ["diagnosis"]),
        ({"search": searched()}, ["trade-off"]),
        ({"raster": sampled()}, ["sample"]),
        ({"trace": traced()}, ["trace"]),
        ({"rates": {"a": np.ones(3)}}, ["rates"]),
    ],
)
def test_each_part_stands_alone(tmp_path: Path, parts: Any, sections: list[str]) -> None:
    """Sections follow from what is given."""
    found = page(tmp_path, **parts)

    ids = [s.all("h2")[0].attributes["id"] for s in found.all("section")]
    assert ids == [*sections, "reproduce"]
    assert ("Nothing was measured." in found.text) == (not {"records", "diagnosis"} & set(parts))


def test_every_figure_has_words_data_and_a_table(full: Tag) -> None:
    """Two drawings, wide and narrow, alternative text, a CSV, and the same as a table."""
    figures = full.all("figure")

    assert len(figures) == 6
    for figure in figures:
        drawings = figure.all("svg", role="img")
        assert [d.attributes["class"] for d in drawings] == ["drawing wide", "drawing narrow"]
        for drawing in drawings:
            assert len(drawing.all("desc")[0].text) > 20
            assert drawing.all("title")[0].text in drawing.attributes["aria-label"]
        (link,) = figure.all("a")
        header, *rows = csv_of(link)
        assert rows and all(len(row) == len(header) for row in rows)
        (table,) = figure.all("details")[0].all("table")
        assert [th.text for th in table.all("th", scope="col")] == header
        assert len(table.all("tr")) == 1 + len(rows)
    names = [figure.all("a")[0].attributes["download"] for figure in figures]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_]+\.csv", name) for name in names)


def test_nothing_is_asked_of_the_network(full: Tag) -> None:
    """No script, no address but places in the page and data that it holds; a policy says so."""
    assert full.all("script") == []
    for name in ("a", "link", "img", "use", "image", "iframe", "object"):
        for tag in full.all(name):
            place = tag.attributes.get("href", tag.attributes.get("src", ""))
            assert place.startswith(("#", "data:")), place
    (policy,) = full.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy.attributes["content"].startswith("default-src 'none'")
    assert "url(" not in full.all("style")[0].text
    assert "@import" not in full.all("style")[0].text


def test_every_class_of_a_drawing_has_a_rule(full: Tag) -> None:
    """So that all colours follow the light or the dark page."""
    style = full.all("style")[0].text
    tags = [tag for svg in full.all("svg") for tag in _below(svg)]
    used = {word for tag in tags for word in tag.attributes.get("class", "").split()}
    assert {word for word in used if f".{word}" not in style} <= {"key"}
    assert "prefers-color-scheme: dark" in style


def _below(tag: Tag) -> list[Tag]:
    return [found for child in tag.children for found in (child, *_below(child))]


def test_a_page_is_made_for_readers_of_every_kind(full: Tag) -> None:
    """Language, a link to skip what repeats, headings in order, headed tables that can scroll."""
    assert full.all("html")[0].attributes["lang"] == "en"
    first = full.all("body")[0].all("a")[0]
    assert first.attributes["href"] == f"#{full.all('main')[0].attributes['id']}"
    assert len(full.all("h1")) == 1
    for table in full.all("table"):
        assert table.all("th")
        assert all(th.attributes.get("scope") in ("col", "row") for th in table.all("th"))
    boxes = full.all("div", role="region")
    assert len(boxes) == len(full.all("table"))
    assert all(b.attributes["tabindex"] == "0" and b.attributes["aria-label"] for b in boxes)
    ids = [t.attributes["id"] for t in _below(full) if "id" in t.attributes]
    assert len(set(ids)) == len(ids)


def test_whatever_a_name_is_it_stays_a_text(tmp_path: Path) -> None:
    """Layers, titles, facts and commands with markup, quotes and control characters are escaped."""
    parts = everything((HOSTILE, "dense"))
    parts["reproduce"] = [HOSTILE]
    parts["facts"] = {HOSTILE: HOSTILE}
    path = write_html(tmp_path / "page.html", title=HOSTILE, summary=HOSTILE, **parts)
    text = path.read_text(encoding="utf-8")
    found = parse(text)

    assert found.all("script") == found.all("b") == []
    assert not any(name.startswith("on") for tag in _below(found) for name in tag.attributes)
    assert re.search("[\x00-\x08\x0b-\x1f\u202e\ud800-\udfff]", text) is None
    shown = HOSTILE.translate(dict.fromkeys(map(ord, "\x00\x1b\u202e\ud800"), "\ufffd"))
    assert found.all("h1")[0].text == shown
    assert shown in [th.text for th in found.all("th", scope="row")]


def test_a_large_network_fits(tmp_path: Path) -> None:
    """A hundred layers and 2 000 steps stay below 5 MB, and it says what of them is shown."""
    rng = np.random.default_rng(0)
    layers = tuple(f"block{i}.conv{i}" for i in range(100))
    parts = everything(layers)
    spikes = rng.random((2000, 100)) < 0.1
    counts = dict.fromkeys(layers, spikes)
    answers = rng.normal(size=(2000, 1000))
    parts["raster"] = raster_info(watched(counts, answers))
    parts["records"] = evaluated(2000, layers)
    path = write_html(tmp_path / "page.html", **parts)
    text = path.read_text(encoding="utf-8")

    assert path.stat().st_size < 5_000_000
    assert "shown are 12 of 100 layers" in text.lower()
    assert re.search("the first [0-9]+ of 2,000 steps", text)
    assert "the 10 largest of 1,000 outputs" in text


def test_a_search_shows_what_it_searched_and_what_it_held_back(tmp_path: Path) -> None:
    """Trials of both kinds of samples are different figures; the choice is marked in both."""
    records = []
    for samples, trials in (("searched", (1, 2, 3)), ("held back", (2, 3))):
        for trial in trials:
            how = {"steps": 4, "readout": "mean", "samples": samples, "trial": trial}
            if samples == "held back":
                how["role"] = "chosen" if trial == 2 else "runner up"
            records += [
                Record("accuracy drop", 0.1 / trial, "fraction", 50, None, how),
                Record("spikes per sample", 10.0 * trial, "spikes", 50, None, how),
            ]
    links = page(tmp_path, search=records).all("figure")
    rows = [csv_of(figure.all("a")[0])[1:] for figure in links]

    assert [len(found) for found in rows] == [3, 2]
    assert [[row[0] for row in found if row[4] == "1"] for found in rows] == [
        ["trial 2, 4 steps"],
    ] * 2


def test_energy_comes_with_who_published_it_and_what_it_assumes(full: Tag) -> None:
    """Assumptions and citations of every table stand below the numbers, and a fair comparison."""
    section = full.all("section", **{"aria-labelledby": "energy"})[0]
    text = section.text

    for table in ("45nm", "chip"):
        assert f"Who published {table}." in text
        assert f"What {table} assumes." in text
    assert "quantised twin): 4 times with 45nm, 10,000 times with chip." in text


def test_the_trace_says_what_was_exact_and_what_was_not(full: Tag) -> None:
    """Counts by status, warnings first, every entry with its layer."""
    section = full.all("section", **{"aria-labelledby": "trace"})[0]

    assert "1 exact" in section.text and "2 convergent" in section.text
    assert "1 approximated" in section.text
    assert [li.text for li in section.all("li")] == ["Warning conv: spikes are few"]
    assert len(section.all("tr")) == 1 + 4


@pytest.mark.parametrize(
    ("records", "text"),
    [
        (
            evaluated(),
            "After 8 steps of 1 ms the spiking network answers 88.0 % of 100 samples right (mean "
            "readout; 95 % interval 83.0 % to 93.0 %), its source 90.0 %: 2.0 points lost "
            "(95 % interval 1.0 gained to 5.0 lost), for 80 spikes a sample.",
        ),
        (
            [Record("spikes per sample", 12.0, "spikes", 3, None, {"steps": 1, "dt": 0.002})],
            "After 1 step of 2 ms the network has sent 12 spikes a sample, over 3 samples.",
        ),
        (
            [Record("agreement", 0.5, "fraction", 4, None, {"steps": 2, "readout": "last"})],
            "After 2 steps the network gives the same answer as its source for 50.0 % of 4 samples "
            "(last readout).",
        ),
        (
            diagnosed(),
            "After 8 steps of 1 ms the network answers 80.0 % of 64 samples right (mean readout), "
            "its source 90.0 %: 10.0 points lost.",
        ),
        ([], "Nothing was measured."),
    ],
)
def test_the_sentence_follows_from_the_records(records: list[Record], text: str) -> None:
    """What was lost, of what, with its interval, and for how much; no more than was measured."""
    assert sentence(records) == text


def test_steps_of_the_network_stand_beside_those_of_a_layer(tmp_path: Path) -> None:
    """Where layers start one after the other, as the settings of an evaluation say."""
    records = [Record("spikes per sample", 12.0, "spikes", 3, None, {"steps": 4, "dt": 0.001})]
    path = write_html(tmp_path / "a.html", records, facts={"network_steps": 22})
    text = path.read_text(encoding="utf-8")
    assert "After 4 steps of 1 ms (22 of the network) the network has sent 12 spikes" in text


@pytest.mark.parametrize(("value", "text"), [(0.0, "0 points lost"), (-0.02, "2.0 points gained")])
def test_no_loss_and_a_gain_are_named(value: float, text: str) -> None:
    """No loss and a gain are named as they are."""
    how = {"steps": 2, "readout": "mean"}
    records = [
        Record("source accuracy", 0.5, "fraction", 9),
        Record("accuracy", 0.5, "fraction", 9, None, how),
        Record("accuracy drop", value, "fraction", 9, None, how),
    ]
    assert text in sentence(records)


def test_the_same_data_make_the_same_page(tmp_path: Path) -> None:
    """No clock and no path is in it; an older report is replaced, as when a command runs twice."""
    path = write_html(tmp_path / "a.html", title="first")
    first = write_html(path, **everything()).read_bytes()

    assert write_html(tmp_path / "b.html", **everything()).read_bytes() == first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "b.html"]


@pytest.mark.parametrize("content", [b"", b"<!doctype html><title>mine</title>", b"\x93NUMPY"])
def test_any_other_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """Another page, data, even an empty file; unless it is asked for."""
    path = tmp_path / "page.html"
    path.write_bytes(content)
    with pytest.raises(FileExistsError, match="not a report, so it was left alone"):
        write_html(path)
    assert path.read_bytes() == content

    write_html(path, overwrite=True)
    assert path.read_bytes().startswith(b"<!doctype html>\n<html")


def test_a_place_that_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    """Folders, and folders that do not exist, are refused by name."""
    with pytest.raises(FileNotFoundError, match="its folder does not exist"):
        write_html(tmp_path / "none" / "page.html")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_html(tmp_path)
    assert write_html(tmp_path / "new.html") == tmp_path / "new.html"


@pytest.mark.parametrize(
    ("records", "text"),
    [
        (
            evaluated(),
            "88.0 % of samples are right, 2.0 points lost against the source, after 8 steps, for "
            "80 spikes a sample.",
        ),
        (
            [Record("agreement", 0.5, "fraction", 4, None, {"steps": 2, "readout": "last"})],
            "50.0 % of answers are the source's, after 2 steps.",
        ),
        ([], ""),
    ],
)
def test_the_answer_on_top_is_short(records: list[Record], text: str) -> None:
    """At most 25 words; the sentence with intervals stands below it."""
    assert answer(records) == text
    assert len(text.split()) <= 25
