"""Metrics of video panoptic segmentation: STQ, VPQ, their depth-aware forms DSTQ and DVPQ, and
weighted STQ; PQ of images.

The package needs NumPy and OpenCV (for tables and plots also terminaltables and matplotlib),
neither torch nor mmcv, and can be used from any project. What the metrics are and where they come
from is said in `stq`, `vpq` and `depth`; the rules that differ between publications are in
`protocol`.

Folders of predictions and ground truth, as `tools/eval_dstq_step.py` and `tools/eval_dvpq_step.py`
do:

    from knet.evaluation import evaluate_folders, format_table, write_json

    result = evaluate_folders('work_dirs/run/results', 'data/kitti-step', nproc=2)
    print(format_table(result))
    print(result['stq']['STQ'], result['vpq']['k']['1']['VPQ'])
    print(result['sequences']['10']['stq']['STQ'])
    write_json(result, 'result.json')

Frames in memory, one by one. Frames of a sequence must come in rising order; sequences may be
spread over several evaluators, whose states are merged:

    from knet.evaluation import VideoPanopticEvaluator

    evaluator = VideoPanopticEvaluator(protocol='step', window_sizes=(1, 2, 3, 4))
    # integer maps of shape (H, W)
    for sequence, frame, gt_semantic, gt_instance, semantic, instance in frames:
        evaluator.add_frame(sequence, frame, gt_semantic, gt_instance, semantic, instance)
    evaluator.merge(other)  # other sequences of the same set, for example from another process
    result = evaluator.result()

Images instead of videos: `ImagePanopticEvaluator`, PQ and mIoU (`knet.evaluation.image`).

The keys of the result are listed in `knet.evaluation.result`. User's errors are raised as
`knet.errors.InputError`; they name the sequence and the frame.
"""

from knet.evaluation.depth import DepthOptions
from knet.evaluation.evaluate import Analysis, analyze_folders, evaluate_folders
from knet.evaluation.evaluator import VideoPanopticEvaluator
from knet.evaluation.image import ImagePanopticEvaluator
from knet.evaluation.protocol import PROTOCOLS, Protocol
from knet.evaluation.report import format_image_table, format_table, write_json

__all__ = [
    'Analysis',
    'DepthOptions',
    'ImagePanopticEvaluator',
    'PROTOCOLS',
    'Protocol',
    'VideoPanopticEvaluator',
    'analyze_folders',
    'evaluate_folders',
    'format_image_table',
    'format_table',
    'write_json',
]
