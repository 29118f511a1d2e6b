"""What is shown: progress on a terminal and in a notebook, and a run as HTML."""

import html.parser
import sys
import types

import pytest

import gridlight
from gridlight import _progress


class Page(html.parser.HTMLParser):
    """Tags of a page, and whether each is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.attributes = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_run_is_shown_without_scripts(columns, trained, quick):
    run = trained(columns, quick(), out="<script>'\"&")
    page = Page(run._repr_html_())
    assert not page.open and not {"script", "b"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.tags.count("table") == 1 and page.tags.count("svg") == 1
    # The report has a frame of its own, which runs nothing.
    assert ("sandbox", "") in page.attributes
    (run.path / "report.html").unlink()
    assert len(run._repr_html_()) < 5000
    (run.path / "report.html").write_text("x" * 10**6)
    assert len(run._repr_html_()) < 5000


def test_nothing_is_printed_without_progress(columns, trained, capfd):
    trained(columns)
    assert capfd.readouterr() == ("", "")


def test_progress_that_nobody_watches_is_a_line(columns, quick, capfd):
    gridlight.train(quick(), columns, device="cpu")
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("best epoch ") and "\x1b" not in err


def test_a_terminal_has_a_bar(columns, quick, capfd, monkeypatch):
    monkeypatch.setattr(_progress, "shown", _progress.Terminal)
    gridlight.train(quick(epochs=200), columns, device="cpu")
    out, err = capfd.readouterr()
    assert out == "" and "epoch" in err and "█" in err and "steps  loss" in err
    assert err.rstrip().splitlines()[-1].split("\x1b[2K")[-1].startswith("best epoch")


def test_a_notebook_has_a_line_that_changes(columns, quick, capfd, monkeypatch):
    shown = []

    class Handle:
        def update(self, page):
            shown.append(page)

    def display(page, display_id):
        assert display_id is True
        shown.append(page)
        return Handle()

    shell = types.SimpleNamespace(kernel=object())
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.HTML, ipython.display.display = str, display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    for _ in range(2):
        gridlight.train(quick(epochs=100), columns, device="cpu")
    assert capfd.readouterr() == ("", "")
    assert len(shown) > 4 and "<progress" in shown[1] and "best epoch" in shown[-1] and "was moved" in shown[-1]
    for page in shown:
        assert not Page(page).open


def test_an_error_in_the_display_is_told(columns, quick, monkeypatch):
    class Broken(_progress.Progress):
        def tick(self, *_):
            raise RuntimeError("the display is broken")

    monkeypatch.setattr(_progress, "shown", Broken)
    with pytest.raises(RuntimeError, match="the display is broken"):
        gridlight.train(quick(epochs=1000), columns, device="cpu")
