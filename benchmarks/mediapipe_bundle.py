"""MediaPipe's pose landmarker, to compare with: the `.task` bundle that its Tasks API wants, of its wheel's networks.

Its makers offer the bundle only for download. The wheel has the same two networks without the metadata that says how
their input is normalised; adding it and zipping them gives the bundle.
"""

from __future__ import annotations

import io
import zipfile

from tracker.networks.landmark_files import landmark_content, landmark_network_file
from tracker.networks.person_network import person_content, person_network_file


def mediapipe_bundle() -> bytes:
    """With the full landmark network. Raises InputError when the installed MediaPipe carries no networks."""
    detector = _with_metadata(person_content(person_network_file()), mean=127.5, std=127.5)
    landmarks = _with_metadata(landmark_content(landmark_network_file()), mean=0.0, std=255.0)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # MediaPipe maps the files: no compression
        archive.writestr("pose_detector.tflite", detector)
        archive.writestr("pose_landmarks_detector.tflite", landmarks)
    return buffer.getvalue()


def _with_metadata(model: bytes, mean: float, std: float) -> bytes:
    """The network with the metadata that MediaPipe's Tasks require of it: its input is (pixel − mean) / std."""
    from mediapipe.tasks.python.metadata.metadata_writers.metadata_writer import MetadataWriter
    from mediapipe.tasks.python.metadata.metadata_writers.writer_utils import get_output_tensor_types

    content = bytearray(model)
    writer = MetadataWriter.create(content)
    writer.add_image_input([mean], [std])
    for _ in get_output_tensor_types(content):
        writer.add_feature_output()
    populated, _ = writer.populate()
    return bytes(populated)
