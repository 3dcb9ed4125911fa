"""Testing: run a model over videos, write predictions, evaluate them."""
import contextlib
import re
import sys
from pathlib import Path
from typing import Dict, Optional

import torch
from mmcv import Config
from mmcv.runner import get_dist_info
from mmdet.datasets import build_dataset
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from knet.errors import InputError
from knet.evaluation import evaluate_folders
from knet.step_format import frame_name, read_panoptic, read_png, write_panoptic
from knet.visualization import SequenceRenderer


def barrier() -> None:
    """Wait for the other processes, if there are any."""
    if get_dist_info()[1] > 1:
        torch.distributed.barrier()


def clear_predictions(result_path: Path) -> None:
    """Remove the predictions of an earlier test below `result_path`/panoptic; files with other names stay."""
    for path in (result_path / 'panoptic').glob('*/*.png'):
        if re.fullmatch(r'\d{6,}_\d{6,}\.png', path.name):
            path.unlink()


def test_videos(model: nn.Module, loader: DataLoader, result_path: str, show_dir: Optional[str] = None, fps: int = 10) -> None:
    """Segment and track this process's share of the sequences and write what comes out.

    Writes `result_path`/panoptic/<sequence>/<sequence:06d>_<frame:06d>.png in STEP encoding (train ids, track ids), in the
    size of the images; with `show_dir` also coloured maps and videos (see `knet.visualization.SequenceRenderer`).

    Args:
        model: Wrapped model (`knet.apis.distributed.wrap_model`).
        loader: Frame by frame, sequences in order (`knet.data.build_test_loader`).
        result_path: Folder of the predictions.
        show_dir: Folder of the pictures.
        fps: Frames per second of the videos.
    """
    rank, _ = get_dist_info()
    result_path, dataset = Path(result_path), loader.dataset
    if rank == 0:
        try:
            result_path.mkdir(parents=True, exist_ok=True)
            clear_predictions(result_path)
        except OSError as error:
            raise InputError(f'cannot write to {result_path}: {error.strerror}') from None
    barrier()
    model.eval()
    to_train_ids = dataset.label_space.model_to_train
    with contextlib.ExitStack() as stack:
        renderer = stack.enter_context(SequenceRenderer(show_dir, dataset.label_space, fps)) if show_dir else None
        bar = stack.enter_context(tqdm(desc='testing', total=len(loader), unit='frame', disable=rank != 0, mininterval=progress_interval()))
        for index, data in zip(loader.sampler, loader):
            record = dataset.records[index]
            with torch.no_grad():
                result = model(return_loss=False, **data)[0]
            semantic = to_train_ids[result['semantic']]
            name = f'{frame_name(record.sequence, record.frame)}.png'
            write_panoptic(result_path / 'panoptic' / str(record.sequence) / name, semantic, result['instance'])
            if renderer:
                image = read_png(record.image)[..., ::-1]
                truth = read_panoptic(record.panoptic) if record.panoptic else (None, None)
                renderer.add(record.sequence, record.frame, image, semantic, result['instance'], *truth)
            bar.update()
    barrier()


def progress_interval() -> float:
    """Seconds between two updates of a progress bar: a moving bar on a terminal, few lines in a log file."""
    return 0.1 if sys.stderr.isatty() else 20.0


def build_test_dataset(cfg: Config, key: str = 'test'):
    """Data set `data.<key>` of a config; it reads single frames without ground truth."""
    return build_dataset(dict(cfg.data[key], test_mode=True))


def evaluate(result_path: str, dataset, nproc: int = 1) -> Dict:
    """STQ and VPQ of predictions written by `test_videos`.

    Args:
        result_path: Folder of the predictions.
        dataset: The data set that was tested; its split folder holds the ground truth.
        nproc: Number of processes.

    Returns:
        See `knet.evaluation.evaluate_folders`.
    """
    return evaluate_folders(str(result_path), str(dataset.split_folder), nproc=nproc)
