"""The live page in Chromium: buttons, bodies that are turned, several clients, strangers, and a phone's width."""

from __future__ import annotations

import io
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.app.test_live import Camera
from tests.pipeline.test_pipeline import SIZE, Script, somebody
from tracker.app.live import LiveJob, LiveSession
from tracker.app.live_start import PagePlace, open_screens
from tracker.body import load_body
from tracker.body.mannequin import mannequin
from tracker.body.person_builder import PersonBuilder
from tracker.body.skinner import skinner_of
from tracker.core.arrays import Array
from tracker.core.frame import Frame
from tracker.core.person import Person, Pose
from tracker.outputs import web
from tracker.outputs.output import LiveStatus
from tracker.outputs.web import WebPage
from tracker.outputs.web_scene import BodyScene
from tracker.overlay.mesh_overlay import MeshOverlay
from tracker.pipeline import Tracker, TrackerConfig
from tracker.runtime.interrupt import Interrupt
from tracker.world.live_world import LiveWorld
from tracker.world.world_config import WorldConfig

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
GL = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
CONFIG = TrackerConfig()
BODY = load_body(None)
CONFIDENCE = np.linspace(0.0, 0.92, 24)
BODY_CANVAS = "#body canvas"
PATIENCE = 120.0
"""s that a browser without a graphics card may take; a test passes as soon as it has what it waits for."""


def person(person_id: int = 0, x: float = 0.0) -> Person:
    """Somebody who faces the camera, the left arm raised, the right elbow and a knee bent."""
    theta = np.zeros((24, 3))
    theta[0] = [np.pi, 0.0, 0.0]
    theta[16, 2], theta[17, 2], theta[19, 1], theta[4, 0] = 0.9, 1.2, 1.0, 0.7
    pose = Pose(theta[0], theta[1:].ravel(), np.array([0.5, 1.0, *np.zeros(8)]), np.array([x, 0.1, 3.5]))
    return PersonBuilder(BODY).person(person_id, pose, CONFIG.camera.for_size(*SIZE), CONFIDENCE, 0.0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as drive:
        opened = drive.chromium.launch(executable_path=CHROMIUM, args=GL)
        yield opened
        opened.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Callable[[], Any]]:
    """Opens tabs; whatever goes wrong in one fails the test."""
    tabs, problems = [], []

    def open_tab() -> Any:
        opened = browser.new_page(viewport={"width": 1400, "height": 850})
        opened.set_default_timeout(1000 * PATIENCE)
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.on("dialog", lambda dialog: dialog.accept())
        tabs.append(opened)
        return opened

    yield open_tab
    for each in tabs:
        each.close()
    assert problems == []


class Feed:
    """A page that is given frames until the test is over."""

    def __init__(self, people: list[Person]) -> None:
        self.page, self.people, self.shown = WebPage(0), people, 0
        self.page.scene = BodyScene(BODY, LiveWorld(WorldConfig(), BODY))
        self.page.follow(lambda: LiveStatus(rate=25.0, latency_ms=40, frames=4, frames_with_people=3))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        while not self._over.wait(0.1):
            level = self.shown % 200
            picture = np.full((90, 160, 3), level, np.uint8)
            self.page.send(Frame(self.shown, self.shown / 10, picture), self.people, picture)
            self.shown += 1

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self.page.close()


@pytest.fixture
def feed() -> Iterator[Feed]:
    opened = Feed([person()])
    yield opened
    opened.close()


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def with_body(opened: Any, address: str) -> Any:
    """The tab at the page, when it has drawn somebody in 3D."""
    opened.goto(address)
    view = f"document.querySelector('{BODY_CANVAS}').view"
    people = f"[{view}?.frame?.people.length ?? 0, {view}?.shapes.size ?? 0]"
    until(lambda: (counts := opened.evaluate(people))[0] and counts[0] == counts[1])
    return opened


def drawn(opened: Any) -> np.ndarray:
    """(height, width, 3): the 3D view as it is on the screen."""
    opened.evaluate("new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    return np.asarray(Image.open(io.BytesIO(opened.locator(BODY_CANVAS).screenshot())).convert("RGB")).astype(int)


# ------------------------------------------------------------------------------------------------- bodies


def test_the_body_has_the_outline_of_the_mesh(tab: Callable[[], Any], feed: Feed) -> None:
    """Seen levelly from the front, with the browser's camera, against the overlay's silhouette."""
    opened = with_body(tab(), feed.page.address)
    eye = np.array([0.3, 0.9, 3.0])
    opened.add_style_tag(content="#bodyTools, #bodyHint { visibility: hidden }")
    opened.evaluate(
        f"""() => {{
            const view = document.querySelector('{BODY_CANVAS}').view;
            Object.assign(view, {{ yaw: 0, pitch: 0, reach: 3, target: [{eye[0]}, {eye[1]}, 0], follows: false }});
            view.drawFloor = view.drawShadow = () => {{}};
            view.redraw();
        }}"""
    )
    picture = drawn(opened)
    mask = (np.abs(picture - picture[2, 2]).sum(axis=2) > 40)[2:-2, 2:-2]  # the panel's border may share a pixel
    expected = silhouette(feed, eye, picture.shape[1], picture.shape[0])[2:-2, 2:-2]
    assert expected.sum() > 3000
    for one, other in ((mask, expected), (expected, mask)):
        near = cv2.dilate(other.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        assert (one & ~near).sum() < 0.01 * expected.sum(), "but for the pose correctives"


def silhouette(feed: Feed, eye: Array, width: int, height: int) -> np.ndarray:
    """(height, width): where the first person's whole mesh is, seen from a place in the world along -z."""
    T = feed.page.scene._encode._world.world.T_world_camera
    world = skinner_of(mannequin(BODY)).vertices(feed.people[0].pose) @ T[:3, :3].T + T[:3, 3]
    seen = (world - eye) * [1, -1, -1]
    focal = height / 2 / np.tan(0.4) if width >= height else width / 2 / np.tan(0.4)
    camera = CONFIG.camera.for_size(width, height)
    camera = type(camera)(focal, focal, width / 2, height / 2, width, height)
    with MeshOverlay() as overlay:
        return overlay.silhouette(camera, seen, BODY.faces.numpy())


def test_the_body_is_turned_by_hand_keys_and_wheel(tab: Callable[[], Any], feed: Feed) -> None:
    opened = with_body(tab(), feed.page.address)
    front = drawn(opened)
    box = opened.locator(BODY_CANVAS).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    opened.mouse.move(x, y)
    opened.mouse.down()
    opened.mouse.move(x + 120, y, steps=3)
    opened.mouse.up()
    view = f"document.querySelector('{BODY_CANVAS}').view"
    assert opened.evaluate(f"{view}.yaw") == pytest.approx(-0.8)
    side = drawn(opened)
    assert (np.abs(side - front).sum(axis=2) > 60).mean() > 0.02, "another view"
    opened.locator(BODY_CANVAS).press("ArrowRight")
    opened.locator(BODY_CANVAS).press("ArrowUp")
    assert opened.evaluate(f"[{view}.yaw, {view}.pitch]") == pytest.approx([-0.65, 0.25])
    reach = opened.evaluate(f"{view}.reach")
    opened.mouse.move(x, y)
    opened.mouse.wheel(0, -300)
    until(lambda: opened.evaluate(f"{view}.reach") < 0.8 * reach)
    opened.get_by_role("button", name="Reset view").click()
    assert opened.evaluate(f"[{view}.yaw, {view}.reach]") == pytest.approx([0.0, reach])


def test_confidence_is_told_by_colour_and_joint_by_joint(tab: Callable[[], Any], feed: Feed) -> None:
    opened = with_body(tab(), feed.page.address)
    by_identity = drawn(opened)
    opened.get_by_role("button", name="Body", exact=True).click()
    by_confidence = drawn(opened)
    red = (by_confidence[..., 0] > 1.5 * by_confidence[..., 1]) & (by_confidence[..., 0] > 90)
    assert (
        red.sum() > 200 and not ((by_identity[..., 0] > 1.5 * by_identity[..., 1]) & (by_identity[..., 0] > 90)).any()
    )
    opened.get_by_role("button", name="Confidence", exact=True).click()
    assert (np.abs(drawn(opened) - by_confidence).sum(axis=2) > 60).any(), "bones"
    for joint, name in ((0, "pelvis"), (18, "left elbow"), (23, "right hand")):
        bar = opened.locator(f"meter[aria-label='{name}']")
        until(lambda bar=bar, joint=joint: abs(bar.evaluate("bar => bar.value") - CONFIDENCE[joint]) < 0.0051)


def red(picture: np.ndarray) -> np.ndarray:
    """(height, width)"""
    return (picture[..., 0] > 1.5 * picture[..., 1]) & (picture[..., 0] > 90)


def test_several_people_are_chosen_among(tab: Callable[[], Any], feed: Feed) -> None:
    feed.people = [person(0, -0.7), person(3, 0.7)]
    opened = with_body(tab(), feed.page.address)
    choice = opened.get_by_label("person", exact=True)
    choice.select_option("person 3")
    assert opened.evaluate(f"document.querySelector('{BODY_CANVAS}').view.shapes.size") == 2
    feed.people = [person(0)]
    until(lambda: not choice.is_visible())
    until(lambda: opened.evaluate(f"document.querySelector('{BODY_CANVAS}').view.shapes.size") == 1)


# ------------------------------------------------------------------------------------------------ clients


def test_a_stalled_tab_delays_no_other_and_each_picture_is_encoded_once(
    tab: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    encode = web._encoded
    monkeypatch.setattr(web, "_encoded", lambda picture: encoded.append(int(picture[0, 0, 0])) or encode(picture))
    feed = Feed([person()])
    try:
        stalled, quick = tab(), tab()
        stalled.add_init_script("window.createImageBitmap = () => new Promise(() => {})")
        quick.add_init_script(
            "const make = createImageBitmap; window.pictures = 0;"
            "window.createImageBitmap = blob => { pictures += 1; return make(blob); }"
        )
        for each in (stalled, quick):
            with_body(each, feed.page.address)
        assert quick.evaluate("pictures") < 1000
        begun = quick.evaluate("pictures")
        until(lambda: quick.evaluate("pictures") > begun + 20)
        assert stalled.evaluate("document.querySelector('#picture canvas').width") == 16, "it has shown no picture"
        assert stalled.evaluate(f"document.querySelector('{BODY_CANVAS}').view.frame.people.length") == 1
        assert len(encoded) <= feed.shown
    finally:
        feed.close()


@pytest.mark.parametrize("path", ["/?token=wrong", "/", "/body?token=", "/body.js"])
def test_a_wrong_token_shows_nothing(tab: Callable[[], Any], feed: Feed, path: str) -> None:
    opened = tab()
    answer = opened.goto(feed.page.address.split("/?", maxsplit=1)[0] + path)
    assert answer.status == 403
    assert "take the address that was printed" in opened.inner_text("body")
    assert opened.locator("canvas").count() == 0


@pytest.mark.parametrize("width", [1400, 400])
def test_everything_has_its_place(tab: Callable[[], Any], feed: Feed, width: int) -> None:
    opened = tab()
    opened.set_viewport_size({"width": width, "height": 850})
    with_body(opened, feed.page.address)
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    for selector, least in (("#picture canvas", 0.5 * width), (BODY_CANVAS, 0.25 * width)):
        box = opened.locator(selector).bounding_box()
        assert box["width"] >= least and box["height"] >= 200 and box["x"] + box["width"] <= width
    for button in opened.locator("#buttons button").all():
        box = button.bounding_box()
        assert box["y"] + box["height"] <= 850 and box["height"] >= 40 and box["x"] >= 0
    assert opened.locator("#joints table").is_visible() == (width > 768)
    opened.get_by_text("somebody in 75 % of the frames").wait_for()


def test_a_page_that_waits_says_for_what_and_gives_no_figures(tab: Callable[[], Any]) -> None:
    page = WebPage(0)
    try:
        page.follow(lambda: LiveStatus(waiting="loading the networks ..."))
        page.wait()
        opened = tab()
        opened.goto(page.address)
        opened.get_by_text("loading the networks").wait_for()
        assert opened.locator("#status").inner_text().strip() == "starting …"
    finally:
        page.close()


# ------------------------------------------------------------------------------------------------ buttons


class Steady(Camera):
    """Gives pictures until it is stopped."""

    def __iter__(self) -> Iterator[Frame]:
        for frame in super().__iter__():
            yield frame
            self.taken.set()
            self._stopped.wait(0.03)


def test_the_buttons_work(tab: Callable[[], Any], tmp_path: Path) -> None:
    camera = Steady(100_000)
    detection, _ = somebody(0.0)
    tracker = Tracker(TrackerConfig(), load_body(None), Script([[detection]] * camera.count))
    view = tab()
    with (
        open_screens(False, PagePlace(0, "127.0.0.1", tmp_path)) as screens,
        _running(LiveSession(LiveJob(tmp_path), tracker, screens.outputs, screens.keys), camera) as until_the_end,
    ):
        (shown,) = screens.outputs
        assert isinstance(shown, WebPage)
        with_body(view, shown.address)
        view.locator(f"#picture canvas[width='{SIZE[0]}']").wait_for()
        view.get_by_role("button", name="Record", exact=True).click()
        view.get_by_text("● recording").wait_for()
        view.get_by_role("button", name="Snapshot").click()
        view.get_by_text("snapshot: ").wait_for()
        view.get_by_role("button", name="Mesh").click()
        view.get_by_role("button", name="Skeleton").wait_for()
        smoothing = tracker.smoothing
        view.get_by_role("button", name="Smoothing").click()
        view.get_by_role("button", name=f"Smoothing {'off' if smoothing else 'on'}").wait_for()
        view.get_by_role("button", name="Stop recording").click()
        view.get_by_text("recorded: ").wait_for()
        view.get_by_role("button", name="Recordings").click()
        with view.expect_download() as download:
            view.get_by_role("link", name="overlay.mp4").click()
        (film,) = tmp_path.glob("live-*/overlay.mp4")
        assert download.value.path().read_bytes() == film.read_bytes()
        view.get_by_role("button", name="Close").click()
        view.get_by_role("button", name="Quit").click()
        until_the_end()
    view.get_by_text("ended").wait_for()
    assert len(list(tmp_path.glob("snapshot-*.png"))) == 1
    (recording,) = tmp_path.glob("live-*/run.json")
    assert json.loads(recording.read_text())["frames_read"] >= 1


@contextmanager
def _running(session: LiveSession, camera: Camera) -> Iterator[Callable[[], None]]:
    """A live run in a thread; gives what waits for its end."""
    thread = threading.Thread(target=session.run, args=(camera, Interrupt()), daemon=True)
    thread.start()
    try:
        yield thread.join
    finally:
        camera.stop()
        thread.join()
