"""The weights that come with the project, as safetensors files; `train` makes each of them."""

from pathlib import Path


def weights_file(name: str) -> Path:
    """Where the weights of this name are: "live", "inverse_kinematics", "predictor" or "prior"."""
    return Path(__file__).with_name(f"{name}.safetensors")
