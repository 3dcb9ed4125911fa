"""Quasi-dense tracker: gives the objects of each frame the track ids of the objects they look like."""
from dataclasses import dataclass
from typing import Dict, List, Optional

import torch
from mmcv.utils import Registry, build_from_cfg
from torch import Tensor
from torchvision.ops import box_iou

from knet.models.mask_ops import moved_mask_iou, segment_pixels

TRACKERS = Registry('tracker')

NO_TRACK = -1
"""Id of an object without a track: too uncertain to start one, or removed as a duplicate."""
ON_BACKDROP = -2
"""Id of an object that looks like a background object, or like a track it is too uncertain to continue."""


def build_tracker(config: Dict):
    """Tracker of a config."""
    return build_from_cfg(config, TRACKERS)


@dataclass
class _Memory:
    """Remembered objects: tracks first, then background objects, whose id is `NO_TRACK`."""
    embeds: Tensor  # (m, D)
    labels: Tensor  # (m,)
    ids: Tensor  # (m,)
    masks: List[Tensor]  # m lists of pixels, where each was seen last, (area, 2), x and y; empty where overlap does not count
    offsets: Tensor  # (m, 2), long, how far each has gone on since then

    def and_these(self, others: List['_Memory']) -> '_Memory':
        """One memory of all objects."""
        both = [self, *others]
        embeds, labels, ids, offsets = (torch.cat([getattr(memory, name) for memory in both])
                                        for name in ('embeds', 'labels', 'ids', 'offsets'))
        return _Memory(embeds, labels, ids, sum((memory.masks for memory in both), []), offsets)


@dataclass
class _Track:
    embed: Tensor
    label: Tensor
    last_frame: int
    centre: Tensor  # (2,), x and y of its box in the last frame
    velocity: Tensor  # (2,), pixels per frame between the last two frames it was seen in
    mask: Tensor  # (area, 2), its pixels in the last frame, x and y; (0, 2) where overlap does not count


@TRACKERS.register_module()
class QuasiDenseTracker:
    """Matches embeddings of a frame with those in memory by a bidirectional softmax (QDTrack, section 3.4).

    With `overlap_weight` w the similarity of an object and a track is (1 - w) * softmax + w * IoU of the object's mask and the
    track's last mask, which is moved on as the track moved last. Objects that look alike keep their ids then; 0 is the
    published tracker.

    All state lives in this object; call `reset` at the start of each sequence.

    Args:
        init_score_thr: An unmatched object starts a track from this score on.
        obj_score_thr: An object continues a track from this score on.
        match_score_thr: Least similarity (0..1) of a match.
        memo_tracklet_frames: A track that has not been seen for so many frames is forgotten.
        memo_backdrop_frames: Background objects are kept for so many frames.
        memo_momentum: Weight of the new embedding when a track is updated, 0..1.
        nms_backdrop_iou_thr: Box IoU over which an object of low score is a duplicate of one with a higher score.
        nms_class_iou_thr: The same for objects from `obj_score_thr` on.
        overlap_weight: Share of the masks' overlap in the similarity, 0..1.
    """

    def __init__(self,
                 init_score_thr: float = 0.35,
                 obj_score_thr: float = 0.3,
                 match_score_thr: float = 0.5,
                 memo_tracklet_frames: int = 5,
                 memo_backdrop_frames: int = 1,
                 memo_momentum: float = 0.8,
                 nms_backdrop_iou_thr: float = 0.3,
                 nms_class_iou_thr: float = 0.7,
                 overlap_weight: float = 0.0):
        self.init_score_thr = init_score_thr
        self.obj_score_thr = obj_score_thr
        self.match_score_thr = match_score_thr
        self.memo_tracklet_frames = memo_tracklet_frames
        self.memo_backdrop_frames = memo_backdrop_frames
        self.memo_momentum = memo_momentum
        self.nms_backdrop_iou_thr = nms_backdrop_iou_thr
        self.nms_class_iou_thr = nms_class_iou_thr
        self.overlap_weight = overlap_weight
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first one of a sequence, its tracks begin at id 0."""
        self._tracks: Dict[int, _Track] = {}
        self._backdrops: List[_Memory] = []
        self._num_tracks = 0

    def track(self, boxes: Tensor, scores: Tensor, labels: Tensor, embeds: Tensor, frame: int,
              segment_map: Optional[Tensor] = None) -> Tensor:
        """Ids of the objects of the next frame.

        Args:
            boxes: (n, 4), x1, y1, x2, y2 in pixels.
            scores: (n,), 0..1.
            labels: (n,), class of each object; only objects of the same class match.
            embeds: (n, D).
            frame: Number of the frame; it rises within a sequence.
            segment_map: (H, W), long: 0 = none, k = the k-th object; read only where `overlap_weight` is not 0.

        Returns:
            (n,), long, in the order of the input: track id from 0 on, `NO_TRACK` or `ON_BACKDROP`.
        """
        # 1. strong objects first; drop the weaker one of two that cover each other
        order = scores.argsort(descending=True, stable=True)
        iou = box_iou(boxes[order], boxes[order])
        order = order[self._is_no_duplicate(iou, scores[order])]
        boxes_kept, scores_kept, labels_kept, embeds_kept = (values[order] for values in (boxes, scores, labels, embeds))
        # 2. continue tracks, 3. start new ones
        memory = self._memory(frame)
        ids = torch.full((len(order),), NO_TRACK, dtype=torch.long, device=scores.device)
        if memory is not None and len(order):
            similarity = self._similarity(embeds_kept, memory)
            if self.overlap_weight:
                overlap = moved_mask_iou(segment_map, len(boxes), memory.masks, memory.offsets)[order]
                similarity = (1 - self.overlap_weight) * similarity + self.overlap_weight * overlap
            ids = self._match(similarity * (labels_kept[:, None] == memory.labels), scores_kept, memory)
        new = (ids == NO_TRACK) & (scores_kept > self.init_score_thr)
        num_new = int(new.sum())
        ids[new] = torch.arange(self._num_tracks, self._num_tracks + num_new, device=ids.device)
        self._num_tracks += num_new
        # 4. remember the frame
        if self.overlap_weight:
            masks = segment_pixels(segment_map, len(boxes))
            masks = [masks[i] for i in order.tolist()]
        else:
            masks = [order.new_zeros((0, 2))] * len(order)
        self._remember(boxes_kept, labels_kept, embeds_kept, masks, ids, frame)
        # 5. back to the order of the input
        result = torch.full((len(boxes),), NO_TRACK, dtype=torch.long, device=boxes.device)
        result[order] = ids
        return result

    def _is_no_duplicate(self, iou: Tensor, scores: Tensor) -> Tensor:
        """Mask of the objects to keep, (n,); `iou` (n, n) and `scores` are in falling order of score."""
        thr = torch.where(scores < self.obj_score_thr, self.nms_backdrop_iou_thr, self.nms_class_iou_thr)
        return ~(torch.tril(iou, -1) > thr[:, None]).any(1)

    def _memory(self, frame: int) -> Optional[_Memory]:
        """All that is remembered in a frame, None if there are no tracks."""
        if not self._tracks:
            return None
        tracks = list(self._tracks.values())
        labels = torch.stack([track.label for track in tracks])
        offsets = torch.stack([track.velocity * (frame - track.last_frame) for track in tracks]).round().long()
        own = _Memory(torch.stack([track.embed for track in tracks]), labels, labels.new_tensor(list(self._tracks)),
                      [track.mask for track in tracks], offsets)
        return own.and_these(self._backdrops)

    @staticmethod
    def _similarity(embeds: Tensor, memory: _Memory) -> Tensor:
        """Bidirectional softmax of each object and each remembered one, (n, m), 0..1 (QDTrack, equation 8)."""
        products = embeds @ memory.embeds.T
        return (products.softmax(1) + products.softmax(0)) / 2

    def _match(self, similarity: Tensor, scores: Tensor, memory: _Memory) -> Tensor:
        """Ids of objects in falling order of score: a track's, `ON_BACKDROP`, or `NO_TRACK` for no match."""
        ids = torch.full((len(scores),), NO_TRACK, dtype=torch.long)
        # One transfer: the greedy choice below is serial and would synchronize at each step on a GPU.
        similarity, memory_ids, score_list = similarity.cpu(), memory.ids.tolist(), scores.tolist()
        for i, score in enumerate(score_list):
            best, j = (value.item() for value in similarity[i].max(0))
            if best <= self.match_score_thr or memory_ids[j] == NO_TRACK:
                continue
            if score > self.obj_score_thr:
                ids[i] = memory_ids[j]
                similarity[i + 1:, j] = 0  # a track continues in one object
            else:
                ids[i] = ON_BACKDROP
        return ids.to(scores.device)

    def _remember(self, boxes: Tensor, labels: Tensor, embeds: Tensor, masks: List[Tensor], ids: Tensor, frame: int) -> None:
        """Update tracks and background objects; everything in falling order of score."""
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        for i, track_id in enumerate(ids.tolist()):
            if track_id >= 0:
                embed, velocity, old = embeds[i], torch.zeros_like(centres[i]), self._tracks.get(track_id)
                if old is not None:
                    embed = (1 - self.memo_momentum) * old.embed + self.memo_momentum * embed
                    velocity = (centres[i] - old.centre) / (frame - old.last_frame)
                self._tracks[track_id] = _Track(embed, labels[i], frame, centres[i], velocity, masks[i])
        self._tracks = {k: track for k, track in self._tracks.items() if frame - track.last_frame < self.memo_tracklet_frames}

        overlap = (torch.tril(box_iou(boxes, boxes), -1) > self.nms_backdrop_iou_thr).any(1)
        backdrop = (ids == NO_TRACK) & ~overlap
        stays = labels.new_zeros((int(backdrop.sum()), 2))
        self._backdrops.insert(0, _Memory(embeds[backdrop], labels[backdrop], ids[backdrop],
                                          [masks[i] for i in backdrop.nonzero()[:, 0].tolist()], stays))
        del self._backdrops[self.memo_backdrop_frames:]
