"""The data sets by the name that the command line knows them by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tracker.core.errors import InputError
from tracker.evaluation.datasets import annotation_files, human36m, lsp, mpi_inf_3dhp, threedoh, threedpw, tracked
from tracker.evaluation.datasets.recording import Recording

DATASETS: dict[str, Callable[[Path], Iterator[Recording]]] = {
    "3dpw": threedpw.read_test_split,
    "3dpw-occ": threedpw.read_occluded,
    "3doh50k": threedoh.read,
    "h36m-p1": human36m.read_protocol1,
    "h36m-p2": human36m.read_protocol2,
    "mpi-inf-3dhp": mpi_inf_3dhp.read,
    "lsp": lsp.read,
    "spin-npz": annotation_files.read_spin,
    "mmhuman3d": annotation_files.read_human_data,
    "person-npz": tracked.read,
}


def read_dataset(name: str, path: Path) -> Iterator[Recording]:
    """The recordings of a data set, read one after another.

    Raises InputError for an unknown name, for data that is not there (with where to get it) or in another format.
    """
    if name not in DATASETS:
        raise InputError(f"{name}: no such data set; known are {', '.join(DATASETS)}")
    return DATASETS[name](path)
