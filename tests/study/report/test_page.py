"""The page is well formed, holds every row and source, and nothing in it comes from outside."""

import json
import re
from html.parser import HTMLParser

import pytest

pytest.importorskip("click")
pytest.importorskip("jinja2")
pytest.importorskip("markdown_it")
pytest.importorskip("matplotlib")
pytest.importorskip("pygments")

from click.testing import CliRunner

from pycnn.cli import main
from pycnn.study import report
from pycnn.study.report import page, results
from pycnn.study.report.machine_code import Excerpt

from . import made_up

VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source"}


class Document(HTMLParser):
    """Elements in order; fails where one is closed that is not open."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.scripts, self.text = [], [], {}, ""
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            key = self.elements[-1][1].get("id", self.open[-1])
            self.scripts[key] = self.scripts.get(key, "") + data
        else:
            self.text += data

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    paths = [made_up.write(folder / "cpu.json"), made_up.write_gpu(folder / "gpu.json")]
    return report.write(paths, folder / "out")


@pytest.fixture(scope="module")
def document(written):
    return Document(written[0].read_text(encoding="utf-8"))


def test_files(written):
    names = sorted(path.name for path in written)
    assert written[0].name == "report.html"
    for picture in ("ratios", "roofline", "scaling", "memory"):
        assert f"{picture}-made-up-cpu.svg" in names
    assert "memory-made-up-gpu.svg" not in names, "nothing was measured of it"
    assert all(path.stat().st_size for path in written)


def test_the_page_needs_no_other_file(document):
    policy = next(
        m["content"] for m in document.of("meta") if "content" in m and "default" in m["content"]
    )
    assert policy.startswith("default-src 'none';") and "http" not in policy
    for tag, attributes in document.elements:
        for name in ("src", "srcset", "data", "href", "action", "poster"):
            value = attributes.get(name, "")
            if tag == "a" and name == "href":
                assert value.startswith(("#", "http://", "https://")), value
            else:
                assert not value or value.startswith("data:"), (tag, name, value[:80])
    assert "@import" not in document.scripts["style"] and "url(" not in document.scripts["style"]


def test_links_lead_somewhere(document):
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids)), "no id is there twice"
    for link in document.of("a"):
        if link["href"].startswith("#"):
            assert link["href"][1:].replace("kernel/", "kernel-") in ids, link["href"]


def test_the_data_are_all_rows(document):
    data = json.loads(document.scripts["data"])
    assert len(data["rows"]) == len(made_up.ROWS) + 4
    first = next(row for row in data["rows"] if row["name"] == "made.a")
    assert {
        "ratio": 2,
        "percent_of_roof": 50,
        "bound": "memory",
        "family": "conv2d_direct",
    }.items() <= (first.items())
    assert made_up.TEXT in {row["name"] for row in data["rows"]}
    assert {roof["threads"] for roof in data["roofs"]} == {"1", "2", "gpu"}
    suites = [row["suite"] for row in data["rows"]]
    assert suites[-3:] == ["forward", "forward", "memory"], "kernels come first"


def test_text_of_files_is_escaped(written, document):
    text = written[0].read_text(encoding="utf-8")
    assert "<img src=x" not in text and "onerror=alert(1)> <" not in text
    assert made_up.TEXT in document.text, "the overview names the fastest row's layer"
    assert "</script" not in document.scripts["data"]


def test_every_kernel_has_its_page(document):
    articles = {a["id"] for a in document.of("article")}
    assert articles == {f"kernel-{stem}" for stem in results.FAMILIES}
    sources = [d["data-source"] for d in document.of("details") if "data-source" in d]
    assert len(sources) > 100 and set(sources) <= document.scripts.keys()
    assert "@triton" in document.scripts["source-conv2d_depthwise-1"]
    shown = " ".join(document.text.split())
    for words in ("inputs under a 2 x 2 patch", "Chollet 2017", "registers, sm_90", "cuDNN"):
        assert words in shown, words


def test_what_is_not_measured_says_so(document):
    shown = " ".join(document.text.split())
    # all families but one, and the device that is none
    assert shown.count("Not measured on a GPU.") == len(results.FAMILIES) - 1 + 1
    assert "No row of these results runs this family by itself." in shown


def test_a_number_that_is_none_is_refused(tmp_path):
    files = results.read_all([made_up.write(tmp_path / "a.json")])
    files[0].rows[0]["error"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        page.render(files, {}, {})


@pytest.fixture
def of_two_families(monkeypatch):
    """Pages are made of two families only, which takes less time."""
    monkeypatch.setattr(page, "FAMILIES", ("gemm", "concat"))


def test_machine_code_is_shown(tmp_path, of_two_families):
    files = results.read_all([made_up.write(tmp_path / "a.json")])
    excerpt = Excerpt("CUDA C++", "gemm.f<int>", "SASS, sm_90a", "128 registers", "HMMA R1 <;")
    found = Document(page.render(files, {}, {"gemm": [excerpt]}))
    assert "HMMA R1 <;" in found.text and "gemm.f<int>" in found.text


def test_the_command(tmp_path, of_two_families):
    def run(*arguments):
        return CliRunner().invoke(main, ["report", *map(str, arguments)])

    file = made_up.write(tmp_path / "a.json")
    done = run(file, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert re.search(r"written to .*report\.html", done.output)
    assert (tmp_path / "out" / "report.html").exists() and (
        tmp_path / "out" / "ratios.svg"
    ).exists()
    assert run(file, "--readme").exit_code == 2
    assert run(tmp_path / "none.json").exit_code == 2
    file.write_text("{}")
    done = run(file, "--out", tmp_path / "never")
    assert done.exit_code == 1 and "a.json: not a file of results" in done.output
    assert not (tmp_path / "never").exists()
