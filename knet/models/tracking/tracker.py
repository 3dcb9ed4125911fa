"""Quasi-dense tracker: gives the objects of a frame the track ids of the objects they look like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Tuple

import torch
from mmcv.utils import Registry, build_from_cfg
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_iou

from knet.models.tracking.overlap import moved_mask_iou, segment_pixels
from knet.structures import Rows, TrackerState, TrackRows

TRACKERS = Registry('tracker')

NO_TRACK = -1
"""Id of an object without a track: too uncertain to start one, or removed as a duplicate."""
ON_BACKDROP = -2
"""Id of an object like a background object, or like a track it is too uncertain to continue."""


def build_tracker(config: Dict) -> QuasiDenseTracker:
    """Tracker of a config."""
    return build_from_cfg(config, TRACKERS)


@dataclass
class Detections(Rows):
    """The objects of a frame that a tracker follows.

    Attributes:
        boxes: (n, 4), x1, y1, x2, y2 in pixels.
        scores: (n,), 0..1.
        labels: (n,), class; only objects of the same class match.
        embeds: (n, D).
        masks: n lists of pixels, each (area, 2), long, x and y; empty where overlap does not count.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    embeds: Tensor
    masks: List[Tensor]


@TRACKERS.register_module()
class QuasiDenseTracker:
    """Matches embeddings with those in memory by a bidirectional softmax (QDTrack, section 3.4).

    With `overlap_weight` w the similarity of an object and a track is (1 - w) * softmax + w * IoU
    of the object's mask and the track's last mask, which is moved on as the track moved last.
    Objects that look alike keep their ids then; 0 is the published tracker.

    It holds no state: what is known of a video goes in and comes out of `track`.

    Args:
        init_score_thr: An unmatched object starts a track from this score on.
        obj_score_thr: An object continues a track from this score on.
        match_score_thr: Minimum similarity (0..1) of a match.
        memo_tracklet_frames: A track that has not been seen for so many frames is forgotten.
        memo_backdrop_frames: Background objects are kept for so many frames.
        memo_momentum: Weight of the new embedding when a track is updated, 0..1.
        nms_backdrop_iou_thr: Box IoU over which an object of low score is a duplicate of one with
            a higher score.
        nms_class_iou_thr: The same for objects from `obj_score_thr` on.
        overlap_weight: Share of the masks' overlap in the similarity, 0..1.
        joint_matching: False (published): objects choose one after the other, in falling order of
            score. True: objects and tracks are matched so that the sum of their similarities is
            largest, so that an object of high score does not take the track of another one.
    """

    def __init__(
        self,
        init_score_thr: float = 0.35,
        obj_score_thr: float = 0.3,
        match_score_thr: float = 0.5,
        memo_tracklet_frames: int = 5,
        memo_backdrop_frames: int = 1,
        memo_momentum: float = 0.8,
        nms_backdrop_iou_thr: float = 0.3,
        nms_class_iou_thr: float = 0.7,
        overlap_weight: float = 0.0,
        joint_matching: bool = False,
    ):
        self.init_score_thr = init_score_thr
        self.obj_score_thr = obj_score_thr
        self.match_score_thr = match_score_thr
        self.memo_tracklet_frames = memo_tracklet_frames
        self.memo_backdrop_frames = memo_backdrop_frames
        self.memo_momentum = memo_momentum
        self.nms_backdrop_iou_thr = nms_backdrop_iou_thr
        self.nms_class_iou_thr = nms_class_iou_thr
        self.overlap_weight = overlap_weight
        self.joint_matching = joint_matching

    def track(
        self,
        boxes: Tensor,
        scores: Tensor,
        labels: Tensor,
        embeds: Tensor,
        state: TrackerState,
        segment_map: Optional[Tensor] = None,
    ) -> Tuple[Tensor, TrackerState]:
        """Ids of the objects of the next frame.

        Args:
            boxes, scores, labels, embeds: Of the n objects, see `Detections`.
            state: What the frames before left behind; a new `TrackerState()` at the start.
            segment_map: (H, W), long: 0 = none, k = the k-th object; read only where
                `overlap_weight` is not 0.

        Returns:
            track ids from 0 on, `NO_TRACK` or `ON_BACKDROP`, (n,), long, in the order of the input,
            and the state for the next frame.
        """
        frame = state.frame
        # 1. strong objects first; drop the weaker one of two that cover each other
        order = scores.argsort(descending=True, stable=True)
        iou = box_iou(boxes[order], boxes[order])
        order = order[self._is_no_duplicate(iou, scores[order])]
        if self.overlap_weight and segment_map is not None:
            masks = segment_pixels(segment_map, len(boxes))
        else:
            masks = [order.new_zeros((0, 2))] * len(boxes)
        objects = Detections(boxes, scores, labels, embeds, masks)[order]
        # 2. continue tracks
        memory, ids = self._still_known(state.memory, frame), torch.full_like(order, NO_TRACK)
        if memory is not None and len(order) and bool((memory.ids >= 0).any()):
            similarity = self._similarity(objects.embeds, memory)
            if self.overlap_weight and segment_map is not None:
                offsets = memory.velocities * (frame - memory.last_seen)[:, None]
                overlap = moved_mask_iou(
                    segment_map, len(boxes), memory.masks, offsets.round().long()
                )[order]
                similarity = (1 - self.overlap_weight) * similarity + self.overlap_weight * overlap
            same_class = objects.labels[:, None] == memory.labels
            match = self._match_jointly if self.joint_matching else self._match
            ids = match(similarity * same_class, objects.scores, memory)
        # 3. start new ones
        new = (ids == NO_TRACK) & (objects.scores > self.init_score_thr)
        num_tracks = state.num_tracks + int(new.sum())
        ids[new] = torch.arange(state.num_tracks, num_tracks, device=ids.device)
        # 4. remember the frame, and bring the ids back to the order of the input
        memory = self._remember(memory, objects, ids, frame)
        result = torch.full((len(boxes),), NO_TRACK, dtype=torch.long, device=boxes.device)
        result[order] = ids
        return result, TrackerState(frame + 1, num_tracks, memory)

    def _still_known(self, memory: Optional[TrackRows], frame: int) -> Optional[TrackRows]:
        """What is not forgotten by a frame."""
        if memory is None:
            return None
        is_track = memory.ids >= 0
        lasts = torch.where(is_track, self.memo_tracklet_frames, self.memo_backdrop_frames)
        return memory[frame - memory.last_seen <= lasts]

    def _is_no_duplicate(self, iou: Tensor, scores: Tensor) -> Tensor:
        """Mask of the objects to keep, (n,); rows are in falling order of score."""
        weak = scores < self.obj_score_thr
        thr = torch.where(weak, self.nms_backdrop_iou_thr, self.nms_class_iou_thr)
        return ~(torch.tril(iou, -1) > thr[:, None]).any(1)

    @staticmethod
    def _similarity(embeds: Tensor, memory: TrackRows) -> Tensor:
        """Bidirectional softmax of objects and remembered ones, (n, m), 0..1 (QDTrack, eq. 8)."""
        products = embeds @ memory.embeds.T
        return (products.softmax(1) + products.softmax(0)) / 2

    def _match(self, similarity: Tensor, scores: Tensor, memory: TrackRows) -> Tensor:
        """Ids of objects in falling order of score: a track's, `ON_BACKDROP`, or `NO_TRACK`."""
        ids = torch.full((len(scores),), NO_TRACK, dtype=torch.long)
        # One transfer: the greedy choice is serial and would synchronize at each step on a GPU.
        similarity, memory_ids = similarity.cpu(), memory.ids.tolist()
        for i, score in enumerate(scores.tolist()):
            best, j = (value.item() for value in similarity[i].max(0))
            if best <= self.match_score_thr or memory_ids[int(j)] == NO_TRACK:
                continue
            if score > self.obj_score_thr:
                ids[i] = memory_ids[int(j)]
                similarity[i + 1 :, int(j)] = 0  # a track continues in one object
            else:
                ids[i] = ON_BACKDROP
        return ids.to(scores.device)

    def _match_jointly(self, similarity: Tensor, scores: Tensor, memory: TrackRows) -> Tensor:
        """Ids of objects: a track's, or `NO_TRACK`."""
        tracks, objects = memory.ids >= 0, scores > self.obj_score_thr
        values = similarity[objects][:, tracks].cpu().numpy()
        # what may not match counts as much as no match
        values[values <= self.match_score_thr] = 0
        row, column = linear_sum_assignment(values, maximize=True)
        matched = values[row, column] > 0
        ids = torch.full_like(memory.ids[:1], NO_TRACK).repeat(len(scores))
        ids[objects.nonzero()[row[matched], 0]] = memory.ids[tracks][column[matched]]
        return ids

    def _remember(
        self, memory: Optional[TrackRows], objects: Detections, ids: Tensor, frame: int
    ) -> TrackRows:
        """Tracks by rising id, then background objects, those of the last frame first."""
        centres = (objects.boxes[:, :2] + objects.boxes[:, 2:]) / 2
        seen = TrackRows(
            ids,
            objects.labels,
            objects.embeds,
            torch.full_like(ids, frame),
            centres,
            torch.zeros_like(centres),
            objects.masks,
        )
        iou = torch.tril(box_iou(objects.boxes, objects.boxes), -1)
        covered = (iou > self.nms_backdrop_iou_thr).any(1)
        tracked = seen[ids >= 0]
        tracks, backdrops = tracked, seen[(ids == NO_TRACK) & ~covered]
        if memory is not None:
            is_track = memory.ids >= 0
            continued = torch.isin(memory.ids, tracked.ids) & is_track
            tracked = self._continue(memory[continued], tracked)
            kept = memory[is_track & ~continued]
            tracks = TrackRows.join([kept, tracked])
            backdrops = TrackRows.join([backdrops, memory[~is_track]])
        return TrackRows.join([tracks[tracks.ids.argsort()], backdrops])

    def _continue(self, old: TrackRows, seen: TrackRows) -> TrackRows:
        """Objects with a track, after those that have one already took over its embedding."""
        index = (seen.ids[:, None] == old.ids).nonzero()
        row, before = index[:, 0], old[index[:, 1]]
        embeds, velocities = seen.embeds.clone(), seen.velocities.clone()
        embeds[row] = (1 - self.memo_momentum) * before.embeds + self.memo_momentum * embeds[row]
        frames = (seen.last_seen[row] - before.last_seen)[:, None]
        velocities[row] = (seen.centres[row] - before.centres) / frames
        return replace(seen, embeds=embeds, velocities=velocities)
