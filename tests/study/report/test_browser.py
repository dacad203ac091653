"""The report in headless Chromium, as a reader uses it: make test-report. It saves screenshots in
out/."""

import shutil
import tempfile

import pytest

from pycnn.study import report
from pycnn.study.report import results
from pycnn.study.report.kernels import PLACES

from . import made_up

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

OUT = results.ROOT / "out"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--disable-dev-shm-usage",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    """Chromium, driven; its absence is a failure, since these tests are asked for by name."""
    try:
        from selenium import webdriver
    except ImportError:
        pytest.fail("selenium is not installed: pip install 'pycnn[test]'", pytrace=False)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.fail(
            f"{'Chromium' if chromium is None else 'chromedriver'} was not found on PATH: "
            "apt-get install chromium chromium-driver",
            pytrace=False,
        )
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
        chrome.set_page_load_timeout(300)
        yield chrome
        chrome.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The report of the committed results, and that of made-up ones of two devices."""
    folder = tmp_path_factory.mktemp("report")
    made = [made_up.write(folder / "cpu.json"), made_up.write_gpu(folder / "gpu.json")]
    return {
        "committed": report.write(results.committed(), folder / "committed")[0],
        "made up": report.write(made, folder / "made")[0],
    }


@pytest.fixture
def see(browser, pages):
    """see(which, width, dark): a report, opened anew. Afterwards the console has to be empty."""

    def opened(which="committed", width=1200, dark=False, place=""):
        scheme = "dark" if dark else "light"
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 1400, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )
        browser.get("about:blank")
        browser.get(pages[which].as_uri() + place)
        wait(browser, lambda: browser.execute_script("return document.body.dataset.ready"))
        return browser

    yield opened
    assert browser.get_log("browser") == []


def wait(browser, condition):
    """Until it holds: some of what a click does comes as an event after it."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 60).until(lambda b: condition())


def find(browser, selector):
    return browser.find_elements("css selector", selector)


def shown(browser):
    """The table as lists of texts, the header first; read in one step, since cells are many."""
    return browser.execute_script(
        "return [...document.querySelectorAll('#table tr:not(.detail)')]"
        ".map((line) => [...line.children].map((cell) => cell.textContent))"
    )


def column(browser, title):
    head, *lines = shown(browser)
    return [line[head.index(title)] for line in lines]


def click(browser, element):
    """A click at the element's place, so that something that covers it fails the test."""
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def save(browser, name):
    OUT.mkdir(exist_ok=True)
    assert browser.save_screenshot(str(OUT / f"report-{name}.png"))


def test_it_opens_without_a_network(see):
    browser = see()
    assert browser.title == "pycnn: measurements and kernels"
    fetched = browser.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert all(name.startswith("data:") for name in fetched)
    broken = browser.execute_script(
        "return [...document.images].filter((i) => !i.complete || !i.naturalWidth).length"
    )
    assert find(browser, "main img") and broken == 0
    files = results.read_all(results.committed())
    count = sum(len(file.rows) for file in files)
    assert f"{count} of {count} rows" in find(browser, "#count")[0].text
    save(browser, "overview")


def test_a_click_on_a_title_sorts(see):
    browser = see()
    for title in ("ratio", "ms"):
        for ascending in (True, False):
            (button,) = [b for b in find(browser, "#table thead button") if b.text == title]
            click(browser, button)
            values = [float(v) for v in column(browser, title) if v]
            assert len(values) > 200
            assert values == sorted(values, reverse=not ascending)
            cell = find(browser, "#table th[aria-sort]")
            assert [c.get_attribute("aria-sort") for c in cell] == [
                "ascending" if ascending else "descending"
            ]
    click(browser, [b for b in find(browser, "#table thead button") if b.text == "layer"][0])
    names = column(browser, "layer")
    assert names == sorted(names, key=str.lower) and len(set(names)) > 10


def test_filters_choose_rows_and_points(see):
    from selenium.webdriver.support.ui import Select

    browser = see()
    every = results.read_all(results.committed())
    rows = [row for file in every for row in file.rows]
    points = len(find(browser, "#roof circle"))
    find(browser, "#filters [name=text]")[0].send_keys("vgg.c4 wino")
    wanted = [r for r in rows if r["name"] == "vgg.c4_2" and r["algorithm"] == "winograd"]
    assert len(shown(browser)) - 1 == len(wanted) > 0
    assert set(column(browser, "layer")) == {"vgg.c4_2"}
    assert len(find(browser, "#roof circle")) == len(wanted) < points
    click(browser, find(browser, "#filters button[type=reset]")[0])
    wait(browser, lambda: len(find(browser, "#roof circle")) == points)
    Select(find(browser, "#filters [name=family]")[0]).select_by_visible_text("concat")
    click(browser, find(browser, "#filters [name=losses]")[0])
    lost = [row for row in rows if row["family"] == "concat" and row["ratio"] < 1]
    assert len(shown(browser)) - 1 == len(lost) > 0
    assert all(float(ratio) < 1 for ratio in column(browser, "ratio"))


def test_every_row_can_be_shown_and_opened(see):
    browser = see(place="#rows")
    total = sum(len(file.rows) for file in results.read_all(results.committed()))
    assert len(shown(browser)) - 1 == 250
    click(browser, find(browser, "#more")[0])
    assert len(shown(browser)) - 1 == total
    click(browser, find(browser, "#table tbody th button")[0])
    (detail,) = find(browser, "#table tr.detail")
    for words in ("geometry", "p80", "PyTorch, contiguous", "commit"):
        assert words in detail.text
    save(browser, "rows")


def test_the_roofline_tells_of_a_point_under_the_pointer(see):
    from selenium.webdriver.common.action_chains import ActionChains

    browser = see("made up", place="#roofline")
    (tip,) = find(browser, "#roof .tip")
    assert not tip.is_displayed()
    assert len(find(browser, "#roof .roofs")) == 2, "of one thread and of two"
    assert "float32, 2T: 800 GFLOP/s, 40 GB/s" in find(browser, "#roof svg")[0].text
    point = find(browser, "#roof circle")[0]
    ActionChains(browser).move_to_element(point).perform()
    wait(browser, tip.is_displayed)
    for words in ("made.a fprop", "2 threads", "500 GFLOP/s at 10 FLOPs a byte", "ratio 2.00"):
        assert words in tip.text.replace("10.0", "10"), words
    assert len(find(browser, "#roof circle.near")) == 1
    ActionChains(browser).move_to_element(find(browser, "#filters")[0]).perform()
    wait(browser, lambda: not tip.is_displayed())


def test_text_of_files_stays_text(see):
    browser = see("made up")
    assert made_up.TEXT in column(browser, "layer")
    assert not find(browser, "img[src=x]")


def test_a_device_is_chosen(see):
    from selenium.webdriver.support.ui import Select

    browser = see("made up")
    assert "cuDNN" not in column(browser, "opponent")
    Select(find(browser, "#filters [name=device]")[0]).select_by_visible_text("Made-up GPU")
    assert set(column(browser, "opponent")) == {"cuDNN"}
    assert set(column(browser, "cache")) == {"warm", "cold"}
    assert "float16: " in find(browser, "#roof svg")[0].text


def article_of(browser, stem):
    """The page of a family, once it is the only one there is to see."""
    wait(browser, lambda: not find(browser, "main")[0].is_displayed())
    wait(browser, lambda: find(browser, f"#kernel-{stem}")[0].is_displayed())
    (article,) = [a for a in find(browser, "article.kernel") if a.is_displayed()]
    assert article.find_element("css selector", "h1").text == stem
    return article


def test_a_kernels_page(see):
    browser = see()
    click(browser, find(browser, "#kernels a[href='#kernel/conv2d_depthwise']")[0])
    article = article_of(browser, "conv2d_depthwise")
    assert "Chollet 2017" in article.text and "xcep.dw147" in article.text
    source = article.find_element("css selector", "details.source")
    click(browser, source.find_element("css selector", "summary"))
    wait(browser, lambda: source.find_elements("css selector", ".listing"))
    listing = source.find_element("css selector", ".listing").text
    text = (PLACES["Triton"] / "conv2d_depthwise.py").read_text(encoding="utf-8")
    assert text.splitlines()[0] in listing and str(text.count("\n")) in listing
    browser.execute_script("scrollTo(0, 0)")
    save(browser, "kernel")
    click(browser, article.find_element("css selector", "aside a[href='#kernel/gemm']"))
    article_of(browser, "gemm")
    browser.back()
    article_of(browser, "conv2d_depthwise")
    browser.back()
    wait(browser, lambda: find(browser, "main")[0].is_displayed())


@pytest.mark.parametrize("place", ["#overview", "#rows", "#kernels", "#kernel/conv2d_depthwise"])
@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_is_wider_than_the_window(see, width, place):
    browser = see(width=width, place=place)
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width
    if width < 600:
        save(browser, f"phone-{place.strip('#').replace('/', '-')}")


def test_light_and_dark(see):
    paper = "return getComputedStyle(document.body).backgroundColor"
    light = see().execute_script(paper)
    browser = see(dark=True, place="#roofline")
    assert light == "rgb(255, 255, 255)"
    assert sum(int(n) for n in browser.execute_script(paper)[4:-1].split(",")) < 120
    save(browser, "dark")
