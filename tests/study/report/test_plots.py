"""Every picture shows what it should, and is the same every time."""

import xml.etree.ElementTree as ElementTree

import pytest

pytest.importorskip("matplotlib")

from pycnn.study.report import plots, results
from pycnn.study.report.palette import DARK, LIGHT

from . import made_up


@pytest.fixture
def files(tmp_path):
    return results.read_all([made_up.write(tmp_path / "a.json")])


def texts(figure):
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize("name", plots.PICTURES)
def test_a_picture_is_svg_and_the_same_every_time(files, name):
    svg = plots.draw(name, files, LIGHT)
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert svg == plots.draw(name, files, LIGHT)
    assert LIGHT.ink in svg and DARK.paper in plots.draw(name, files, DARK)


@pytest.mark.parametrize("name", plots.PICTURES)
def test_nothing_is_drawn_of_nothing(files, name):
    assert plots.draw(name, [file._replace(rows=[]) for file in files], LIGHT) is None


def test_the_roofline_has_the_measured_roof_of_its_threads(files):
    (axes,) = plots.roofline(files, LIGHT).axes
    points = [line for line in axes.lines if line.get_label() == "conv2d_direct"]
    assert [tuple(p.get_xydata()[0]) for p in points] == [(10.0, pytest.approx(500))]
    roof = axes.lines[-1].get_xydata()
    assert roof[-1][1] == 800 and roof[1] == pytest.approx((20, 800)), "the edge of 40 GB/s"
    assert any("800 GFLOP/s, 40 GB/s" in text for text in texts(axes.figure))


def test_a_file_without_a_roof_says_so(files):
    figure = plots.roofline([file._replace(roof={}) for file in files], LIGHT)
    assert "Roofline, 2 threads; the roof was not measured" in texts(figure)


def test_ratios_show_losses_below_one(files):
    (axes,) = plots.ratios(files, LIGHT).axes
    ends = {
        label.get_text(): bar.get_x() + bar.get_width()
        for label, bar in zip(axes.get_yticklabels(), axes.patches)
    }
    assert ends["conv2d_depthwise  fprop"] == pytest.approx(0.5)
    assert ends["conv2d_direct  fprop"] == pytest.approx(3**0.5)


def test_scaling_has_a_panel_for_each_thing_that_varies(files):
    sizes, threads = plots.scaling(files, LIGHT).axes
    assert sizes.get_title() == "Images a second; dashed: the opponent"
    assert sizes.get_xlabel() == "rows of pixels"
    assert threads.get_title() == "Times as fast as one thread"
    gains = [tuple(line.get_ydata()) for line in threads.lines[1:]]
    assert gains == [(1, pytest.approx(1.5)), (1, pytest.approx(1.125))]


def test_a_suite_has_one_colour_in_every_panel(tmp_path):
    rows = [
        made_up.row("a", 1.0, 2.0, suite="a", batch=1, threads=2),  # never with one thread
        *(
            made_up.row("b", 1.0, 2.0, suite="b", batch=n, threads=t)
            for n in (1, 8)
            for t in (1, 2)
        ),
    ]
    files = results.read_all([made_up.write(tmp_path / "a.json", rows)])
    lines = [line for axes in plots.scaling(files, LIGHT).axes for line in axes.lines]
    colours = {line.get_color() for line in lines if line.get_label() == "b"}
    assert len([line for line in lines if line.get_label() == "b"]) == 2
    assert colours == {LIGHT.series[1]}


def test_memory_is_in_mebibytes(files):
    (axes,) = plots.memory(files, LIGHT).axes
    assert [bar.get_width() for bar in axes.patches] == [1.0, 2.0]
