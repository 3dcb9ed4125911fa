"""Panoptic quality of single images (PQ, arXiv 1801.00868) and the mean IoU of their classes.

PQ is VPQ over windows of one frame (`knet.evaluation.vpq`) but for one rule: crowd, ground truth of
a thing class without instance id, is no object that could be missed, and a predicted segment of its
class that lies on crowd or void by more than half is not counted against the model. The IoU of a
class counts crowd as its class.

    evaluator = ImagePanopticEvaluator()
    # integer maps of shape (H, W)
    for name, gt_semantic, gt_instance, semantic, instance in images:
        evaluator.add_image(name, gt_semantic, gt_instance, semantic, instance)
    result = evaluator.result()
"""

from typing import Any, List, Union

import numpy as np

from knet.errors import InputError
from knet.evaluation.evaluator import FrameMaps, VideoPanopticEvaluator
from knet.evaluation.histogram import INSTANCE_BITS, MAX_INSTANCE, Pairs, encode
from knet.evaluation.protocol import Protocol
from knet.evaluation.result import panoptic_result, stq_result
from knet.evaluation.stq import count_stq
from knet.evaluation.vpq import PanopticCounts, match_segments


class ImagePanopticEvaluator:
    """Measures panoptic segmentation of images that have nothing to do with each other.

    Args:
        protocol: 'step' (default) or another name or `Protocol` of `knet.evaluation.protocol`.

    Raises:
        InputError: unknown protocol.
    """

    def __init__(self, protocol: Union[str, Protocol] = 'step'):
        self._counter = VideoPanopticEvaluator(protocol, (1,))
        self.protocol = self._counter.settings.protocol
        self._is_thing = self.protocol.member_table(self.protocol.label_space.thing_ids)
        # One class more than the protocol has: crowd under a prediction of another class, neither
        # missed nor an excuse.
        self._segments = PanopticCounts.zeros(self.protocol.size + 1)
        self._stq: List[Any] = []

    def add_image(
        self,
        name: str,
        gt_semantic: np.ndarray,
        gt_instance: np.ndarray,
        pred_semantic: np.ndarray,
        pred_instance: np.ndarray,
    ) -> None:
        """Add an image; arguments and errors as in `VideoPanopticEvaluator.add_frame`, `name`
        stands for it in errors."""
        maps = FrameMaps(
            encode(gt_semantic, gt_instance, f'{name}: ground truth'),
            encode(pred_semantic, pred_instance, f'{name}: prediction'),
        )
        pairs = self._counter.count(name, 0, maps).pairs
        self._stq.append(count_stq(pairs, self.protocol))
        self._match(pairs)

    def _match(self, pairs: Pairs) -> None:
        gt, pred, void = pairs.gt, pairs.pred, self.protocol.void_class
        gt_class = gt >> INSTANCE_BITS
        crowd = self._is_thing[gt_class] & (gt & MAX_INSTANCE == 0)
        # Void with an instance id is void for the rule of the half, but stays in the union (see
        # `knet.evaluation.vpq`).
        excuse = np.where(
            gt_class == pred >> INSTANCE_BITS,
            void << INSTANCE_BITS | MAX_INSTANCE,
            self.protocol.size << INSTANCE_BITS,
        )
        match_segments(
            np.zeros(len(gt), np.int64),
            np.where(crowd, excuse, gt),
            pred,
            pairs.counts,
            void,
            self._segments,
        )

    def result(self) -> dict:
        """Metrics of the images so far.

        Returns:
            protocol, classes, thing_classes, num_images; PQ, PQ_thing, PQ_stuff, SQ, RQ (means over
            the classes that occur), mIoU; and lists per class pq, sq, rq, iou (None where a class
            does not occur), tp, fn, fp.

        Raises:
            InputError: no image was added.
        """
        if not self._stq:
            raise InputError('nothing to evaluate: no image was added')
        space = self.protocol.label_space
        found = panoptic_result(self.protocol, self._segments, 'PQ')
        ious = stq_result(self.protocol, self._stq)['iou_per_class']
        found.update(SQ=_mean(found['sq']), RQ=_mean(found['rq']), mIoU=_mean(ious), iou=ious)
        return {
            'protocol': self.protocol.name,
            'classes': list(space.classes),
            'thing_classes': list(space.thing_ids),
            'num_images': len(self._stq),
            **found,
        }


def _mean(values):
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None
