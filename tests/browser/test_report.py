"""The report in a real browser: it shows what it says, in light and dark, and asks the network for nothing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from reports import files
from tests.needs import require
from tests.reports import synthetic

CHROMIUM = "chromium"

# No name is looked up, so that the browser's own calls home lead nowhere either.
_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require(CHROMIUM, "Chromium is not installed")
    folder = tmp_path_factory.mktemp("run")
    run, arrays = synthetic.a_run()
    arrays.save(folder)
    return files.write(run, folder, ["html"])[0]


def browse(report: Path, tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open the report in a fresh profile and return what the browser said."""
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    argv = [CHROMIUM, *_QUIET, profile, *options, report.as_uri()]
    return subprocess.run(argv, capture_output=True, text=True, timeout=100, check=True)


def test_the_page_shows_its_text_without_an_error_or_a_request(report: Path, tmp_path: Path) -> None:
    log = tmp_path / "net.json"
    ended = browse(report, tmp_path, "--dump-dom", f"--log-net-log={log}", "--enable-logging=stderr", "--v=0")
    assert "is 1.4 times as fast as mobilenetv3-small-fp32" in ended.stdout
    assert "NaN for 12 of 400 faces" in ended.stdout
    assert "<script" not in ended.stdout
    assert "CONSOLE" not in ended.stderr  # what a page's errors and refused loads are logged as
    assert requests(log.read_text(encoding="utf-8")) == set()


def requests(log: str) -> set[str]:
    """Return what pages asked the network for, of a net log; the browser's own requests have no origin."""
    pattern = r'"initiator":"(?!not an origin")[^\n]*"url":"((?:https?|wss?|ftp):[^"]*)"'
    return set(re.findall(pattern, log))


def test_a_request_of_a_page_would_have_been_noticed(tmp_path: Path) -> None:
    require(CHROMIUM, "Chromium is not installed")
    loud = tmp_path / "loud.html"
    loud.write_text("<img src='http://127.0.0.1:9/x.png'><script>console.error('no')</script>", encoding="utf-8")
    log = tmp_path / "net.json"
    ended = browse(loud, tmp_path, "--dump-dom", f"--log-net-log={log}", "--enable-logging=stderr", "--v=0")
    assert "http://127.0.0.1:9/x.png" in requests(log.read_text(encoding="utf-8"))
    assert "CONSOLE" in ended.stderr


@pytest.mark.parametrize(("scheme", "light"), [("1", True), ("0", False)])
@pytest.mark.parametrize("width", [420, 1280])
def test_it_is_drawn_in_light_and_dark_on_narrow_and_wide_screens(
    scheme: str, light: bool, width: int, report: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "page.png"
    size = f"--window-size={width},2400"
    browse(report, tmp_path, f"--blink-settings=preferredColorScheme={scheme}", size, f"--screenshot={picture}")
    pixels = np.asarray(cv2.imread(str(picture)))
    assert (np.median(pixels) > 200) is np.bool_(light)
    inked = np.mean(np.abs(pixels.astype(int) - np.median(pixels)) > 60)
    assert inked > 0.01  # not an empty page
