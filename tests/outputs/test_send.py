"""What is sent to other programs, as receivers that others wrote understand it: names, axes, rate, and no harm to the
run when a receiver stands still or is gone."""

from __future__ import annotations

import gc
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.app.test_live import Camera, FakeScreen
from tests.full_disk import files_no_larger_than
from tests.outputs.test_output import run
from tests.pipeline.test_pipeline import SIZE, Script, somebody
from tests.programs import run_program
from tracker.app.live import LiveJob, LiveSession, open_sends
from tracker.body import load_body
from tracker.body.smpl_joints import SMPL_JOINTS, smpl_index
from tracker.core.arrays import Array
from tracker.core.camera import CameraConfig
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.person import Person, Pose
from tracker.core.shown_text import message_line
from tracker.outputs.output import Output, Outputs
from tracker.outputs.send import open_send
from tracker.outputs.send.humanoid import HUMAN_BONES
from tracker.outputs.send.pose_message import PERSON_RECORD, JsonEncoder
from tracker.outputs.send.virtual_camera import VIDIOC_S_FMT, format_request, i420
from tracker.pipeline import Tracker, TrackerConfig
from tracker.runtime.interrupt import Interrupt
from tracker.world.live_world import LiveWorld
from tracker.world.world_config import WorldConfig

BODY = load_body(None)
PICTURE = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
PATIENCE = 20.0
"""s after which a receiver that has got nothing gives up; a test passes in a moment or fails."""


def person_of(turns: dict[str, tuple[float, float, float]], turned: float = 0.0, person_id: int = 0) -> Person:
    """Somebody 3 m in front of a level camera, facing it, or turned to their left by so many degrees.

    turns: joint → axis-angle in degrees.
    """
    theta = np.zeros((24, 3))
    for joint, degrees in turns.items():
        theta[smpl_index(joint)] = np.radians(degrees)
    facing = Rotation.from_euler("x", 180, degrees=True) * Rotation.from_euler("y", turned, degrees=True)
    theta[0] = facing.as_rotvec()
    transl = np.array([0.4 * person_id, 0.2, 3.0])
    tensor = BODY.v_template.new_tensor
    joints = BODY.with_shape(tensor(np.zeros(10))).with_pose(tensor(theta)).joints.double().numpy() + transl
    pixels = TrackerConfig().camera.for_size(*SIZE).project(joints)
    box = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])
    pose = Pose(theta[0], theta[1:].ravel(), np.zeros(10), transl)
    return Person(person_id, pose, joints, pixels, np.linspace(0, 1, 24), box, 0.5)


def frames(count: int) -> Iterator[Frame]:
    return (Frame(i, i / 30, PICTURE) for i in range(count))


def until(condition: Callable[[], Any]) -> Any:
    """What the condition gives as soon as that is true."""
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.005)
    return value


def a_world(config: WorldConfig = WorldConfig()) -> LiveWorld:  # noqa: B008
    return LiveWorld(config, BODY)


@contextmanager
def opened(address: str) -> Iterator[Output]:
    output = open_send(address, CameraConfig(), a_world())
    try:
        yield output
    finally:
        output.close()


# -------------------------------------------------------------------------------------------------- OSC


class OscReceiver:
    """python-osc's server; keeps what came, bundle by bundle."""

    def __init__(self) -> None:
        pythonosc = pytest.importorskip("pythonosc.osc_bundle")
        self.bundles: list[list[tuple[str, list[Any]]]] = []
        self._bundle_class = pythonosc.OscBundle
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self._open = True
        self._thread = threading.Thread(target=self._receive)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def _receive(self) -> None:
        while self._open:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            assert self._bundle_class.dgram_is_bundle(data)
            self.bundles.append([(message.address, message.params) for message in self._bundle_class(data)])

    def close(self) -> None:
        self._open = False
        self._thread.join()
        self._socket.close()


@pytest.fixture
def osc() -> Iterator[OscReceiver]:
    receiver = OscReceiver()
    yield receiver
    receiver.close()


def unity_bones(bundle: list[tuple[str, list[Any]]]) -> dict[str, tuple[Array, Rotation]]:
    """Bone → place (3,) m and rotation in Unity's world, for an avatar in a T-pose whose rest has no rotations.

    Unity's own rule, written for left-handed axes: a child's place is its parent's plus its offset turned by it.
    """
    local = {p[0]: (np.array(p[1:4]), np.array(p[4:8])) for address, p in bundle if address == "/VMC/Ext/Bone/Pos"}
    joint_names = {joint: name for name, joint in HUMAN_BONES.items()}
    bones: dict[str, tuple[Array, Rotation]] = {}
    for joint in sorted(joint_names):
        name, parent = joint_names[joint], BODY.parents[joint]
        place, quaternion = local[name]
        turn = Rotation.from_quat(quaternion)
        if parent < 0:
            bones[name] = (place, turn)
        else:
            above, above_turn = bones[joint_names[parent]]
            bones[name] = (above + above_turn.apply(place), above_turn * turn)
    return bones


LEFT, UP, FRONT = np.array([-1.0, 0, 0]), np.array([0.0, 1, 0]), np.array([0.0, 0, 1])
"""In Unity's frame, of somebody who faces +z, as avatars do."""


@pytest.mark.parametrize("turned", [0.0, 90.0])
def test_a_raised_left_arm_is_a_raised_left_arm_on_a_vrm_avatar(osc: OscReceiver, turned: float) -> None:
    raised = person_of({"left_shoulder": (0, 0, 90), "right_elbow": (0, 90, 0), "left_hip": (-90, 0, 0)}, turned)
    with opened(f"vmc://127.0.0.1:{osc.port}") as vmc:
        vmc.send(Frame(7, 0.25, PICTURE), [raised], None)
        bundle = until(lambda: osc.bundles)[0]
    addresses = [address for address, _ in bundle]
    assert addresses[:3] == ["/VMC/Ext/OK", "/VMC/Ext/T", "/VMC/Ext/Root/Pos"]
    assert bundle[0][1] == [1] and bundle[1][1] == [0.25] and bundle[2][1] == ["root", 0, 0, 0, 0, 0, 0, 1]
    bones = unity_bones(bundle)
    assert len(bones) == len(addresses) - 3 == 22
    # somebody who turns to their own left faces where their left hand was: Unity's −x
    about = Rotation.from_euler("y", -turned, degrees=True)
    seen = {bone: about.inv().apply(turn.apply(rest)) for bone, rest, turn in _pointing(bones)}
    assert np.allclose(seen["LeftUpperArm"], UP, atol=0.01)
    assert np.allclose(seen["RightUpperArm"], -LEFT, atol=0.01)
    assert np.allclose(seen["RightLowerArm"], FRONT, atol=0.02), "the right forearm points to the front"
    assert np.dot(seen["LeftUpperLeg"], FRONT) > 0.99 and np.dot(seen["RightUpperLeg"], -UP) > 0.99
    assert np.allclose(about.inv().apply(bones["Hips"][1].apply(FRONT)), FRONT, atol=1e-3)


def _pointing(bones: dict[str, tuple[Array, Rotation]]) -> Iterator[tuple[str, Array, Rotation]]:
    """Bone, where it points in the avatar's T-pose, and how it is turned."""
    rest = {"LeftUpperArm": LEFT, "RightUpperArm": -LEFT, "RightLowerArm": -LEFT}
    for bone, way in (rest | {"LeftUpperLeg": -UP, "RightUpperLeg": -UP}).items():
        yield bone, way, bones[bone][1]


def test_an_avatar_stands_on_the_floor_with_every_bone_where_the_joint_is(osc: OscReceiver) -> None:
    person = person_of({"left_knee": (20, 0, 0), "spine2": (0, 30, 10)})
    with opened(f"vmc://127.0.0.1:{osc.port}") as vmc:
        vmc.send(Frame(0, 0.0, PICTURE), [person], None)
        bones = unity_bones(until(lambda: osc.bundles)[0])
    joints = person.joints3d * [-1, -1, 1]  # camera: x right, y down, z away; Unity: x left of who looks, y up
    for bone, (place, _) in bones.items():
        away = joints[HUMAN_BONES[bone]] - joints[0]
        assert np.allclose(place - bones["Hips"][0], away * [1, 1, -1], atol=1e-4), bone
    assert bones["RightFoot"][0][1] == pytest.approx(0.077, abs=0.01), "an ankle's height over the floor"
    assert np.allclose(bones["Hips"][0][[0, 2]], 0, atol=1e-6), "the first place is the origin"


def test_one_avatar_follows_one_person(osc: OscReceiver) -> None:
    first, second = person_of({}), person_of({"left_shoulder": (0, 0, 90)}, person_id=1)
    with opened(f"vmc://127.0.0.1:{osc.port}?person=1") as vmc:
        for people in ([first], [first, second], [second, first]):
            vmc.send(Frame(0, 0.0, PICTURE), people, None)
        absent, both, swapped = until(lambda: osc.bundles if len(osc.bundles) == 3 else None)
    assert absent == [("/VMC/Ext/OK", [0]), ("/VMC/Ext/T", [0.0])]
    assert both == swapped
    raised = unity_bones(both)["LeftUpperArm"][1].apply(LEFT)
    assert np.allclose(raised, UP, atol=0.01)


def test_joints_over_osc_have_their_names_places_and_confidence(osc: OscReceiver) -> None:
    people = [person_of({"left_shoulder": (0, 0, 90)}), person_of({}, person_id=3)]
    with opened(f"osc://127.0.0.1:{osc.port}") as output:
        output.send(Frame(5, 1.5, PICTURE), people, None)
        head, one, other = until(lambda: osc.bundles if len(osc.bundles) == 3 else None)
    assert head == [("/tracker/frame", [5, 1.5, 2])]
    values = dict(one)
    assert len(values) == len(dict(other)) == 48 and all(a.startswith("/tracker/person/3/") for a, _ in other)
    wrist = np.array(values["/tracker/person/0/joint/left_wrist"])
    shoulder = np.array(values["/tracker/person/0/joint/left_shoulder"])
    assert np.allclose((wrist - shoulder)[:3] / np.linalg.norm((wrist - shoulder)[:3]), [0, 1, 0], atol=0.01)
    assert wrist[3] == pytest.approx(smpl_index("left_wrist") / 23)
    pelvis, shoulder = (values[f"/tracker/person/0/rotation/{joint}"] for joint in ("pelvis", "left_shoulder"))
    assert abs(np.dot(pelvis, [0, 0, 0, 1])) == pytest.approx(1), "who faces the camera is not turned"
    assert abs(np.dot(shoulder, [0, 0, np.sqrt(0.5), np.sqrt(0.5)])) == pytest.approx(1)


def test_vrchats_trackers_have_unitys_axes_and_angles(osc: OscReceiver) -> None:
    person = person_of({"left_shoulder": (0, 0, 90)}, turned=90.0)
    with opened(f"osc://127.0.0.1:{osc.port}?layout=vrchat") as output:
        output.send(Frame(0, 0.0, PICTURE), [person], None)
        values = dict(until(lambda: osc.bundles)[0])
    assert len(values) == 18
    hips, head = (np.array(values[f"/tracking/trackers/{name}/position"]) for name in ("1", "head"))
    assert head[1] - hips[1] == pytest.approx(0.336 + 0.218, abs=0.02)
    # Unity turns to the left by a negative angle about y
    assert np.allclose(values["/tracking/trackers/1/rotation"], [0, -90, 0], atol=0.01)
    elbows = [np.array(values[f"/tracking/trackers/{name}/position"]) for name in ("7", "8")]
    assert elbows[0][1] - elbows[1][1] > 0.2, "the left elbow is the higher one"


def test_the_live_run_sends_a_bundle_a_frame(osc: OscReceiver, tmp_path: Path) -> None:
    with opened(f"vmc://127.0.0.1:{osc.port}") as vmc:
        run(Camera(12), [vmc], tmp_path)
        bundles = until(lambda: osc.bundles if len(osc.bundles) >= 12 else None)
    times = [dict(bundle)["/VMC/Ext/T"][0] for bundle in bundles]
    assert np.allclose(times, np.arange(12) / 30, atol=1e-4)


# ------------------------------------------------------------------------------------- JSON and binary messages


def check_json(line: bytes | str, frame: int, people: int) -> dict[str, Any]:
    message = json.loads(line)
    assert message["frame"] == frame and len(message["people"]) == people
    for person in message["people"]:
        assert len(person["poses"]) == 72 and np.shape(person["joints3d"]) == (24, 3)
    return message


def test_a_datagram_holds_a_frame_of_everybody() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE)
        people = [person_of({}, person_id=i) for i in range(10)]
        with opened(f"udp://127.0.0.1:{receiver.getsockname()[1]}") as udp:
            udp.send(Frame(0, 0.0, PICTURE), people[:2], None)
            udp.send(Frame(1, 1 / 30, PICTURE), people, None)
            udp.send(Frame(2, 2 / 30, PICTURE), [], None)
        message = check_json(receiver.recv(65536), 0, 2)
        to_world, joints = np.array(message["T_world_camera"]), np.array(message["people"][0]["joints3d"])
        lowest = (joints @ to_world[:3, :3].T + to_world[:3, 3])[:, 1].min()
        assert lowest == pytest.approx(0.024, abs=5e-3), "feet stand on the floor"
        parts = [json.loads(receiver.recv(65536)) for _ in range(2)]
        assert [part["frame"] for part in parts] == [1, 1]
        assert [p["id"] for part in parts for p in part["people"]] == list(range(10))
        check_json(receiver.recv(65536), 2, 0)


def test_a_camera_that_is_known_to_look_down_is_believed() -> None:
    """Somebody upright before a camera that is 1.5 m high and looks down by 20°."""
    tilt = Rotation.from_euler("x", 20, degrees=True)
    person = person_of({})
    tilted = replace(person, joints3d=tilt.apply(person.joints3d))
    encode = JsonEncoder(a_world(WorldConfig(pitch=20, camera_height=1.5)))
    message = json.loads(encode(Frame(0, 0.0, PICTURE), [tilted]))
    T = np.array(message["T_world_camera"])
    joints = np.array(message["people"][0]["joints3d"]) @ T[:3, :3].T + T[:3, 3]
    spine = joints[smpl_index("head")] - joints[smpl_index("left_foot")]
    level = person.joints3d[smpl_index("head")] - person.joints3d[smpl_index("left_foot")]
    assert T[1, 3] == pytest.approx(1.5) and np.allclose(spine, level * [1, -1, -1], atol=1e-4)


def test_lines_on_a_pipe_are_those_of_the_frames_and_a_closed_pipe_ends_the_output_alone(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader: list[Any] = []
    opening = threading.Thread(target=lambda: reader.append(path.open("rb")))
    opening.start()
    with opened(f"jsonl:{path}") as output:
        opening.join()
        output.send(Frame(0, 0.0, PICTURE), [person_of({})], None)
        check_json(reader[0].readline(), 0, 1)
        reader[0].close()
        camera, steady = Camera(8), FakeScreenWithoutKeys()
        run(camera, [output, steady], tmp_path / "out", record=True)
    assert steady.count == 8
    (folder,) = (tmp_path / "out").iterdir()
    assert len((folder / "frames.jsonl").read_text().splitlines()) == 8


class FakeScreenWithoutKeys:
    """Counts."""

    name, wants_picture = "screen", True

    def __init__(self) -> None:
        self.count = 0

    def send(self, frame: Frame, people: object, picture: object) -> None:
        self.count += 1

    def close(self) -> None:
        """Nothing is held."""


def test_a_reader_that_stands_still_delays_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    output = open_send(f"jsonl:{path}", CameraConfig(), a_world())
    people = [person_of({}, person_id=i) for i in range(4)]
    for frame in frames(400):
        output.send(frame, people, None)
    output.close()
    assert any("frames were left out" in record.message for record in caplog.records)
    whole = os.read(reader, 1 << 20).split(b"\n")[:-1]
    assert len(whole) >= 1
    for number, line in enumerate(whole):
        check_json(line, number, 4)
    os.close(reader)


def test_a_pipe_without_a_reader_delays_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tracker")
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with opened(f"jsonl:{path}") as output:
        assert [record.message for record in caplog.records] == [f"jsonl:{path}: waits for a reader"]
        for frame in frames(300):
            output.send(frame, [], None)
    assert caplog.records[-1].message == f"jsonl:{path}: no reader came"


def test_a_reader_of_a_pipe_may_come_later(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with opened(f"jsonl:{path}") as output:
        output.send(Frame(0, 0.0, PICTURE), [person_of({})], None)
        with path.open("rb") as reader:
            check_json(reader.readline(), 0, 1)
            output.send(Frame(1, 0.1, PICTURE), [], None)
            check_json(reader.readline(), 1, 0)


def test_lines_on_standard_output_are_alone_there(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with opened("jsonl:-") as output:
        run(Camera(6), [output], tmp_path)
    lines = capfdbinary.readouterr().out.splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(6))


# ------------------------------------------------------------------------------------------------- WebSocket


def address_of(output: Any) -> str:
    return str(output.url)


def test_web_sockets_give_each_client_the_newest_frame() -> None:
    client = pytest.importorskip("websockets.sync.client")
    person = person_of({"left_shoulder": (0, 0, 90)})
    with opened("ws://127.0.0.1:0") as output, client.connect(address_of(output)) as one:
        until(lambda: output._newest.listeners == 1)
        output.send(Frame(0, 0.0, PICTURE), [person], None)
        check_json(one.recv(timeout=PATIENCE), 0, 1)
        with client.connect(address_of(output)) as two:
            until(lambda: output._newest.listeners == 2)
            output.send(Frame(1, 0.1, PICTURE), [person, person_of({}, person_id=1)], None)
            check_json(one.recv(timeout=PATIENCE), 1, 2)
            check_json(two.recv(timeout=PATIENCE), 1, 2)
        until(lambda: output._newest.listeners == 1)


def test_a_stalled_web_socket_client_delays_nobody() -> None:
    """It reads nothing for 500 frames of 8 people, 12 MB; then it gets the newest ones."""
    client = pytest.importorskip("websockets.sync.client")
    people = [person_of({}, person_id=i) for i in range(8)]
    with opened("ws://127.0.0.1:0?format=json") as output:
        with client.connect(address_of(output), max_queue=1) as stalled, client.connect(address_of(output)) as brisk:
            until(lambda: output._newest.listeners == 2)
            for frame in frames(500):
                output.send(frame, people, None)
            while json.loads(brisk.recv(timeout=PATIENCE))["frame"] != 499:
                pass
            numbers = [json.loads(stalled.recv(timeout=PATIENCE))["frame"]]
            while numbers[-1] != 499:
                numbers.append(json.loads(stalled.recv(timeout=PATIENCE))["frame"])
        assert len(numbers) < 500 and numbers == sorted(set(numbers))


def test_binary_messages_are_unpacked_by_their_description() -> None:
    client = pytest.importorskip("websockets.sync.client")
    people = [person_of({"left_shoulder": (0, 0, 90)}), person_of({}, person_id=4)]
    with opened("ws://127.0.0.1:0?format=binary") as output, client.connect(address_of(output)) as one:
        until(lambda: output._newest.listeners)
        output.send(Frame(9, 0.3, PICTURE), people, None)
        message = one.recv(timeout=PATIENCE)
    assert message[:4] == b"BTP1" and len(message) == 72 + 2 * 840
    assert int.from_bytes(message[4:8], "little") == 9 and int.from_bytes(message[16:20], "little") == 2
    assert np.frombuffer(message[8:16], "<f8")[0] == 0.3
    words = np.frombuffer(message[72 : 72 + 840], "<f4")
    half = np.sqrt(0.5)
    shoulder = 8 + 4 * smpl_index("left_shoulder")
    assert np.allclose(words[shoulder : shoulder + 4], [0, 0, half, half], atol=1e-6)
    records = np.frombuffer(message[72:], PERSON_RECORD)
    assert records["id"].tolist() == [0, 4]
    assert np.allclose(records["joints3d"][1], people[1].joints3d, atol=1e-5)


def test_strangers_are_not_let_in() -> None:
    client = pytest.importorskip("websockets.sync.client")
    refused = pytest.importorskip("websockets.exceptions").InvalidStatus
    with opened("ws://127.0.0.1:0?token=swordfish") as output:
        url = address_of(output)
        assert url.endswith("?token=swordfish")
        client.connect(url).close()
        for wrong in (url.split("?")[0], url + "x"):
            with pytest.raises(refused, match="403"):
                client.connect(wrong)
    with opened("ws://127.0.0.1:0?origin=https://avatar.example") as output:
        url = address_of(output)
        for known in ("http://localhost:8000", "https://avatar.example", None):
            client.connect(url, origin=known).close()
        with pytest.raises(refused, match="403"):
            client.connect(url, origin="https://foreign.example")
        with pytest.raises(refused, match="403"), socket.create_connection(("127.0.0.1", output.port)) as plain:
            client.connect(f"ws://rebound.example:{output.port}/", sock=plain)


@pytest.mark.parametrize("leaves", ["FIN", "RST"])
def test_who_leaves_a_web_socket_without_a_word_is_not_worth_a_line(
    leaves: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    people = [person_of({}, person_id=i) for i in range(8)]
    with opened("ws://127.0.0.1:0") as output:
        caplog.clear()
        capfd.readouterr()
        for _ in range(3):
            with upgraded(output) as client:
                until(lambda: output._newest.listeners == 1)
                if leaves == "RST":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                else:
                    client.shutdown(socket.SHUT_WR)
                output.send(Frame(0, 0.0, PICTURE), people, None)
            until(lambda: not output._newest.listeners or output.send(Frame(1, 0.1, PICTURE), people, None))
    gc.collect()  # which is when a task is found whose fault nobody has asked for
    assert [record.message for record in caplog.records] == []
    assert capfd.readouterr().err == ""


@contextmanager
def upgraded(output: Any) -> Iterator[socket.socket]:
    """A connection whose WebSocket handshake is done, held by a program that knows no more of the protocol."""
    with socket.create_connection(("127.0.0.1", output.port)) as client:
        client.sendall(handshake(output, b"/"))
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 101")
        yield client


def handshake(output: Any, path: bytes, **changed: bytes) -> bytes:
    headers = {
        b"Host": b"127.0.0.1:%d" % output.port, b"Connection": b"Upgrade", b"Upgrade": b"websocket",
        b"Sec-WebSocket-Version": b"13", b"Sec-WebSocket-Key": b"AAAAAAAAAAAAAAAAAAAAAA==",
    } | {name.replace("_", "-").encode(): value for name, value in changed.items()}  # fmt: skip
    lines = [b"GET " + path + b" HTTP/1.1", *(name + b": " + value for name, value in headers.items())]
    return b"\r\n".join([*lines, b"", b""])


@pytest.mark.parametrize("address", ["ws://0.0.0.0:0", "ws://127.0.0.1:0"])
@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (b"/?token=%C3%A9", {"Host": b"evil.example"}),
        (b"/?token=%80", {"Host": b"evil.example"}),
        (b"/?token=%ED%A0%80", {"Host": b"evil.example"}),
        (b"/", {"Host": b"[::1"}),
        (b"/", {"Host": b"\xff"}),
        (b"/", {"Origin": b"http://[x"}),
        (b"/", {"Sec_WebSocket_Key": b"\xff"}),
    ],
    ids=repr,
)
def test_a_malformed_request_is_refused_without_a_line(
    address: str, path: bytes, headers: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    with opened(address) as output:
        caplog.clear()
        with socket.create_connection(("127.0.0.1", output.port)) as client:  # type: ignore[attr-defined]
            client.sendall(handshake(output, path, **headers))
            assert client.recv(1 << 16).split()[1] in (b"400", b"403")
    assert [record.message for record in caplog.records] == []


def test_a_port_that_is_open_to_others_has_a_token() -> None:
    with opened("ws://0.0.0.0:0") as output:
        assert len(address_of(output).split("?token=")[1]) >= 16


# ------------------------------------------------------------------------------------------------ MCAP, camera


def test_an_mcap_file_is_read_by_mcaps_reader(tmp_path: Path) -> None:
    pytest.importorskip("mcap_ros2")
    from mcap_ros2.reader import read_ros2_messages

    path = tmp_path / "run.mcap"
    person = person_of({"left_shoulder": (0, 0, 90)})
    with opened(f"mcap:{path}?picture=jpeg") as output:
        assert output.wants_picture
        for frame in frames(5):
            output.send(frame, [person], frame.image)
        assert not path.exists()
    topics: dict[str, list[Any]] = {}
    for message in read_ros2_messages(str(path)):
        topics.setdefault(message.channel.topic, []).append(message)
    names = {"/tf", "/people", "/people/markers", "/camera/camera_info", "/camera/image/compressed"}
    assert set(topics) == names and all(len(messages) == 5 for messages in topics.values())
    assert [m.log_time_ns for m in topics["/people"]] == [round(i / 30 * 1e9) for i in range(5)]
    people = topics["/people"][0].ros_msg
    assert people.header.frame_id == "camera_optical_frame"
    assert np.allclose([[j.x, j.y, j.z] for j in people.people[0].joints], person.joints3d)
    assert np.allclose(people.people[0].poses, person.pose.theta.ravel())
    place = tf_places(topics["/tf"][0].ros_msg)
    assert np.allclose(place["person_0/left_wrist"] - place["person_0/left_shoulder"], [0, 0, 0.493], atol=0.01), "up"
    assert place["person_0/left_hip"][1] < place["person_0/right_hip"][1], "the left of who faces the camera: −y"
    assert place["person_0/left_foot"][2] == pytest.approx(0.024, abs=0.005), "the joint above the sole"
    assert place["camera_optical_frame"][0] == pytest.approx(-2.97, abs=0.1), "behind the person, who is at the origin"
    assert len(topics["/people/markers"][0].ros_msg.markers[1].points) == 46
    assert topics["/camera/camera_info"][0].ros_msg.width == SIZE[0]
    assert topics["/camera/image/compressed"][0].ros_msg.data[:2] == b"\xff\xd8"
    with pytest.raises(InputError, match="exists already"):
        open_send(f"mcap:{path}", CameraConfig(), a_world())


def test_an_mcap_file_on_a_full_disk_keeps_what_was_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("mcap_ros2")
    from mcap.exceptions import EndOfFile
    from mcap.stream_reader import StreamReader

    path = tmp_path / "run.mcap"
    noise = np.random.default_rng(0).integers(0, 255, PICTURE.shape, np.uint8)
    mcap = open_send(f"mcap:{path}?picture=jpeg", CameraConfig(), a_world())
    outputs, sent = Outputs([mcap]), frames(10_000)
    with files_no_larger_than(4 << 20):
        until(lambda: outputs.send(next(sent), [], noise) or not outputs.left)
    left = tmp_path / "run.mcap.part"
    assert list(tmp_path.iterdir()) == [left] and left.stat().st_size > 1 << 20
    stopped, kept = [record.message for record in caplog.records]
    assert "stopped" in stopped and "File too large" in stopped and kept.endswith(f"is in {left}")
    records = 0
    with left.open("rb") as file, pytest.raises(EndOfFile):
        for _ in StreamReader(file).records:
            records += 1
    assert records > 10


def tf_places(message: Any) -> dict[str, Array]:
    """Frame → place (3,) m in the world, by following the tree."""
    placed = {"world": (np.zeros(3), Rotation.identity())}
    for each in message.transforms:
        above, turn = placed[each.header.frame_id]
        t, q = each.transform.translation, each.transform.rotation
        place = above + turn.apply([t.x, t.y, t.z])
        placed[each.child_frame_id] = (place, turn * Rotation.from_quat([q.x, q.y, q.z, q.w]))
    assert len(placed) == 2 + len(SMPL_JOINTS)
    return {name: place for name, (place, _) in placed.items()}


def test_the_virtual_cameras_request_is_the_kernels(tmp_path: Path) -> None:
    """Against the kernel's own header, through a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not Path("/usr/include/linux/videodev2.h").exists():
        pytest.skip("needs a C compiler and the kernel's headers")
    source = """
#include <linux/videodev2.h>
#include <stdio.h>
int main(void) {
    struct v4l2_format f;
    __builtin_memset(&f, 0, sizeof f);
    f.type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
    f.fmt.pix.width = 642; f.fmt.pix.height = 480; f.fmt.pix.pixelformat = V4L2_PIX_FMT_YUV420;
    f.fmt.pix.field = V4L2_FIELD_NONE; f.fmt.pix.bytesperline = 642; f.fmt.pix.sizeimage = 642 * 480 * 3 / 2;
    f.fmt.pix.colorspace = V4L2_COLORSPACE_SRGB;
    printf("%lu ", (unsigned long)VIDIOC_S_FMT);
    for (unsigned i = 0; i < sizeof f; i++) printf("%02x", ((unsigned char*)&f)[i]);
}
"""
    (tmp_path / "request.c").write_text(source)
    run_program([compiler, "-o", tmp_path / "request", tmp_path / "request.c"])
    number, content = run_program([tmp_path / "request"]).stdout.split()
    assert int(number) == VIDIOC_S_FMT
    assert bytes.fromhex(content) == format_request(642, 480)


def test_the_virtual_cameras_pictures_are_i420() -> None:
    import av

    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32], picture[24:, 32:] = (220, 30, 40), (20, 180, 90)
    planes = np.frombuffer(i420(picture), np.uint8).reshape(72, 64)
    back = av.VideoFrame.from_ndarray(planes, format="yuv420p").to_ndarray(format="rgb24")
    assert np.abs(back.astype(int) - picture).max() < 12


def test_what_is_no_virtual_camera_ends_alone_with_a_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    camera, steady = Camera(6), FakeScreenWithoutKeys()
    with opened(f"v4l2:{tmp_path / 'file'}") as output:
        run(camera, [output, steady], tmp_path / "out")
    assert steady.count == 6
    assert any("v4l2loopback" in record.message for record in caplog.records)


def test_the_picture_for_other_programs_has_no_text_over_it(tmp_path: Path) -> None:
    from tracker.outputs.output import PictureFeed

    class Feed(PictureFeed, FakeScreen):
        """Keeps its pictures."""

    detection, _ = somebody(0.0)
    camera = Camera(6)
    feed, screen = Feed(camera), FakeScreen(camera)
    tracker = Tracker(TrackerConfig(), BODY, Script([[detection]] * 6))
    LiveSession(LiveJob(tmp_path), tracker, [feed, screen], screen).run(camera, Interrupt())
    assert len(feed.pictures) == len(screen.pictures) > 0
    differs = np.abs(feed.pictures[-1].astype(int) - screen.pictures[-1]).max(axis=(1, 2))
    assert differs[: SIZE[1] // 4].max() > 60 and differs[SIZE[1] // 2 :].max() == 0


def test_a_page_shows_people_in_the_world_in_which_they_are_sent(tmp_path: Path) -> None:
    from tracker.outputs.output import SceneFeed

    class Page(SceneFeed, FakeScreen):
        """Is given a scene to show."""

    detection, _ = somebody(0.0)
    camera = Camera(6)
    page, world = Page(camera), LiveWorld(WorldConfig(), BODY)
    tracker = Tracker(TrackerConfig(), BODY, Script([[detection]] * 6))
    with open_sends([f"jsonl:{tmp_path / 'lines'}"], CameraConfig(), world) as sends:
        LiveSession(LiveJob(tmp_path), tracker, [*sends, page], page, world).run(camera, Interrupt())
    assert page.scene is not None
    sent = json.loads((tmp_path / "lines").read_text().splitlines()[-1])["T_world_camera"]
    shown = np.frombuffer(page.scene.poses(Frame(5, 5 / 30, page.pictures[-1]), []), np.float32, 12, offset=24)
    np.testing.assert_allclose(shown.reshape(3, 4), np.array(sent)[:3], atol=1e-5)


# ----------------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("localhost", "expected an address such as"),
        ("fax://127.0.0.1:1", "expected one of vmc, osc, ws, udp, jsonl, mcap, v4l2"),
        ("osc://127.0.0.1", "a host and a port, such as osc://127.0.0.1:9000"),
        ("vmc://", "such as vmc://127.0.0.1:39539"),
        ("ws://127.0.0.1", "such as ws://127.0.0.1:9000"),
        ("vmc://127.0.0.1:0", "nobody receives at port 0"),
        ("ws://a..b:8765", "is no host's name"),
        ("ws://192.0.2.7:8765", "give an address of this machine"),
        ("udp://127.0.0.1:99999", "Port out of range"),
        ("vmc://127.0.0.1:1?bones=3", "bones: no such option; vmc has person"),
        ("vmc://127.0.0.1:1?person=me", "expected a number"),
        ("ws://127.0.0.1:1?format=xml", "expected one of json, binary"),
        ("vmc://no.such.host.invalid:1", "is not known here"),
        ("jsonl:/nowhere/lines.jsonl", "cannot be written"),
        ("mcap:/nowhere/run.mcap", "cannot be written"),
        ("v4l2:/dev/video_absent", "modprobe v4l2loopback"),
        ("mcap:", "expected mcap:FILE"),
    ],
)
def test_a_wrong_address_gets_a_sentence(address: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        open_send(address, CameraConfig(), a_world())
    assert address in str(error.value) and "***" not in message_line(error.value), "nothing in it is a secret"


@pytest.mark.parametrize("again", ["mcap:{0}/run", "jsonl:{0}/run", "jsonl:{0}/../{1}/run"])
def test_two_outputs_to_one_file_are_refused(again: str, tmp_path: Path) -> None:
    addresses = [f"mcap:{tmp_path / 'run'}", f"jsonl:{tmp_path / 'other'}", again.format(tmp_path, tmp_path.name)]
    with (
        pytest.raises(InputError, match="another --send writes there"),
        open_sends(addresses, CameraConfig(), a_world()),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_gets_a_sentence() -> None:
    with opened("ws://127.0.0.1:0") as output, pytest.raises(InputError, match="give another port"):
        open_send(f"ws://127.0.0.1:{output.port}", CameraConfig(), a_world())  # type: ignore[attr-defined]


def test_a_receiver_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with opened(f"vmc://127.0.0.1:{port}") as vmc, opened(f"udp://127.0.0.1:{port}") as udp:
        run(Camera(6), [vmc, udp], tmp_path, record=True)
    (folder,) = tmp_path.iterdir()
    assert len((folder / "frames.jsonl").read_text().splitlines()) == 6
