"""Testing: run a model over videos or images, write predictions, evaluate them."""
import contextlib
import re
import sys
from pathlib import Path
from typing import Dict, Optional, Sequence

import torch
from mmcv import Config, imresize
from mmcv.runner import get_dist_info
from mmdet.datasets import build_dataset
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from knet.data.transforms import image_of_tensor
from knet.errors import InputError
from knet.evaluation import ImagePanopticEvaluator, evaluate_folders, format_image_table, format_table
from knet.step_format import read_panoptic, write_panoptic
from knet.visualization import SequenceRenderer


def barrier() -> None:
    """Wait for the other processes, if there are any."""
    if get_dist_info()[1] > 1:
        torch.distributed.barrier()


def prediction_file(result_path: Path, record) -> Path:
    """Where the prediction of a data set's record lies."""
    return result_path / 'panoptic' / record.folder / f'{record.name}.png'


def clear_predictions(result_path: Path) -> None:
    """Remove the predictions of an earlier test below `result_path`/panoptic; files with other names stay."""
    for path in (result_path / 'panoptic').glob('*/*.png'):
        if re.fullmatch(r'([a-z-]+_)?\d{6,}_\d{6,}\.png', path.name):
            path.unlink()


def test_sequences(model: nn.Module, loader: DataLoader, result_path: str, show_dir: Optional[str] = None, fps: int = 10) -> None:
    """Segment and track this process's share of the sequences (or images) and write what comes out.

    Writes `result_path`/panoptic/<folder>/<name>.png in STEP encoding (train ids, track ids), in the size of the images; folder
    and name are <sequence> and <sequence:06d>_<frame:06d>, of Cityscapes <city> and <city>_<sequence>_<frame>. With `show_dir`
    also coloured maps and videos (see `knet.visualization.SequenceRenderer`).

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
        renderer = None
        if show_dir:
            renderer = stack.enter_context(SequenceRenderer(show_dir, dataset.label_space, fps if dataset.holds_videos else 0))
        bar = stack.enter_context(tqdm(desc='testing', total=len(loader), unit='frame', disable=rank != 0, mininterval=progress_interval()))
        for index, data in zip(loader.sampler, loader):
            record = dataset.records[index]
            with torch.no_grad():
                result = model(return_loss=False, **data)[0]
            semantic = to_train_ids[result['semantic']]
            write_panoptic(prediction_file(result_path, record), semantic, result['instance'])
            if renderer:
                image, meta = data['img'].data[0][0], data['img_metas'].data[0][0]
                image = imresize(image_of_tensor(image, meta), meta['ori_shape'][1::-1])
                truth = dataset.read_truth(record) if record.panoptic else (None, None)
                renderer.add(record.folder, record.name, image, semantic, result['instance'], *truth)
            bar.update()
    barrier()


def progress_interval() -> float:
    """Seconds between two updates of a progress bar: a moving bar on a terminal, few lines in a log file."""
    return 0.1 if sys.stderr.isatty() else 20.0


def build_test_dataset(cfg: Config, key: str = 'test'):
    """Data set `data.<key>` of a config; it reads single frames without ground truth."""
    return build_dataset(dict(cfg.data[key], test_mode=True))


def evaluate(result_path: str, dataset) -> Dict:
    """Measure predictions written by `test_sequences`.

    Args:
        result_path: Folder of the predictions.
        dataset: The data set that was tested; it must have ground truth.

    Returns:
        Of videos STQ and VPQ, see `knet.evaluation.evaluate_folders`; of images PQ and mIoU, see
        `knet.evaluation.ImagePanopticEvaluator`.

    Raises:
        InputError: a prediction or its ground truth is missing or cannot be used.
    """
    if dataset.holds_videos:
        return evaluate_folders(str(result_path), str(dataset.split_folder))
    evaluator = ImagePanopticEvaluator()
    for record in tqdm(dataset.records, desc='evaluating', unit='image', disable=None):
        if record.panoptic is None:
            raise InputError(f'{record.image} has no ground truth; the split cannot be evaluated')
        evaluator.add_image(record.name, *dataset.read_truth(record), *read_panoptic(prediction_file(Path(result_path), record)))
    return evaluator.result()


def metric_names(dataset) -> Sequence[str]:
    """What `evaluate` measures on a data set: STQ and VPQ, of images PQ."""
    return ('STQ', 'VPQ') if dataset.holds_videos else ('PQ', )


def format_metrics(metrics: Dict, names: Sequence[str] = ('STQ', 'VPQ')) -> str:
    """Tables of a result of `evaluate`; `names` chooses those of videos."""
    return format_table(metrics, [name.lower() for name in names]) if 'stq' in metrics else format_image_table(metrics)


def headline(metrics: Dict) -> Dict[str, float]:
    """The figures of a result of `evaluate` that a training log shows; VPQ is the mean over the window sizes."""
    if 'stq' in metrics:
        return dict(STQ=metrics['stq']['STQ'], AQ=metrics['stq']['AQ'], SQ=metrics['stq']['SQ'], VPQ=metrics['vpq']['VPQ'])
    return {name: metrics[name] for name in ('PQ', 'SQ', 'RQ', 'mIoU')}
