"""Models with track ids: Video K-Net, whose kernels recognise an object in the next frame (arXiv
2204.04656), and what others share with it."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import torch
from mmdet.models.builder import DETECTORS, build_head
from torch import Tensor, nn

from knet.label_space import LabelSpace
from knet.models.kernels.branches import fc_layers
from knet.models.kernels.stage import StageOutput
from knet.models.kernels.stages import split_pairs
from knet.models.knet import FrameOutput, KNet
from knet.models.matching.assigner import Match
from knet.models.panoptic_fusion import Segments, segment_boxes
from knet.models.tracking.tracker import build_tracker
from knet.structures import Frame, FrameBatch, VideoState


class TrackingKNet(KNet):
    """Base of the models whose things have track ids: K-Net, embeddings of things and a tracker.

    In training they see pairs of a key frame and a reference frame of the same video. In testing
    frames come one by one, see `KNet.step`.

    Args:
        label_space, backbone, neck, rpn_head, roi_head: See `KNet`.
        track_head: Config of the head that makes the embeddings.
        tracker: Config of `QuasiDenseTracker`.
        kwargs: Other arguments of `KNet`.
    """

    num_references = 1

    def __init__(
        self,
        label_space: LabelSpace,
        backbone: Dict,
        neck: Dict,
        rpn_head: Dict,
        roi_head: Dict,
        track_head: Dict,
        tracker: Dict,
        **kwargs: Any,
    ):
        super().__init__(label_space, backbone, neck, rpn_head, roi_head, **kwargs)
        self.track_head = build_head({**track_head, 'channels': self.kernel_set.channels})
        self.tracker = build_tracker(tracker)

    def embed_segments(
        self, segments: Segments, index: Tensor, output: FrameOutput, frame: Frame
    ) -> Tensor:
        """Embeddings of segments, (n, D).

        Args:
            segments: Of the frame.
            index: (n,), long, which of them.
            output: Of the network.
            frame: Its sizes.
        """
        raise NotImplementedError

    def identify(
        self, segments: Segments, output: FrameOutput, frame: Frame, state: VideoState
    ) -> Tuple[Tensor, VideoState]:
        """Track ids from 1 of the segments, (n,), 0 = none, and the state for the next frame."""
        rows, device = segments.rows, segments.map.device
        index = rows.is_thing.nonzero()[:, 0]
        things = rows[index]
        thing_map = None
        if self.tracker.overlap_weight:  # 0 = no thing, k = the k-th thing
            number = torch.zeros(len(rows) + 1, dtype=torch.long, device=device)
            number[index + 1] = torch.arange(1, len(index) + 1, device=device)
            thing_map = number[segments.map]
        track_ids, tracks = self.tracker.track(
            boxes=segment_boxes(segments.map, len(rows))[index],
            scores=things.scores,
            labels=things.labels,
            embeds=self.embed_segments(segments, index, output, frame),
            state=state.tracks,
            segment_map=thing_map,
        )
        ids = torch.zeros_like(rows.labels)
        ids[index] = (track_ids + 1).clamp(min=0)
        return ids, VideoState(output.stage.kernels, tracks)


@DETECTORS.register_module()
class VideoKNet(TrackingKNet):
    """K-Net with a link to the previous frame's kernels; kernels are what is tracked.

    The reference frame of a training pair plays the part of the previous frame.

    Args:
        num_embed_fcs: Hidden layers of the embedding of a kernel, before the track head.
        kwargs: Arguments of `TrackingKNet`; `track_head` is a `QuasiDenseEmbedHead`.
    """

    def __init__(self, num_embed_fcs: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        channels = self.kernel_set.channels
        self.embed_fcs = fc_layers(channels, num_embed_fcs)
        self.fc_embed = nn.Linear(channels, channels)

    def embed(self, track_feats: Tensor) -> Tensor:
        """Tracking embeddings, (n, C) → (n, C)."""
        for layer in self.embed_fcs:
            track_feats = layer(track_feats)
        return self.track_head(self.fc_embed(track_feats))

    def forward(
        self, frames: FrameBatch, references: Optional[FrameBatch] = None
    ) -> Dict[str, Any]:
        """Losses of a batch of pairs of frames, and values for the log.

        Args:
            frames: Key frames, with ground truth.
            references: Their reference frames, with ground truth; equal ids of objects in key and
                reference frame are the same object.

        Returns:
            Losses of the key frames as in `KNet`, of the reference frames with the suffixes
            `_ref_rpn` and `_ref`, and `loss_track`, `loss_track_aux`.
        """
        references = check_references(references)
        targets, ref_targets = self.prepare_targets(frames), self.prepare_targets(references)
        images = torch.cat([frames.images, references.images])
        initial = self.rpn_head(self.extract_feat(images))
        outputs, ref_outputs = self.roi_head.forward_pairs(initial)
        num_positive, ref_num_positive = self.roi_head.num_positives(targets, ref_targets)

        initial, ref_initial = split_pairs(initial)
        ref_rpn_losses, ref_matches = self.rpn_head.loss(ref_initial, ref_targets)
        ref = self.roi_head.loss(ref_outputs, ref_targets, ref_matches, ref_num_positive)
        rpn_losses, matches = self.rpn_head.loss(initial, targets)
        key = self.roi_head.loss(outputs, targets, matches, num_positive)
        track_losses = self.track_head.loss(
            self._matched_embeds(outputs[-1], key.matches),
            self._matched_embeds(ref_outputs[-1], ref.matches),
            matched_ids(frames, key.matches),
            matched_ids(references, ref.matches),
        )
        return {
            **rpn_losses,
            **key.losses,
            **{f'{name}_ref_rpn': value for name, value in ref_rpn_losses.items()},
            **{f'{name}_ref': value for name, value in ref.losses.items()},
            **track_losses,
        }

    def _matched_embeds(self, output: StageOutput, matches: List[Match]) -> List[Tensor]:
        """Embeddings (p, D) of the kernels that the things of each frame are matched with."""
        pairs = zip(output.track_feats, matches)
        return [self.embed(feats[match.kernels]) for feats, match in pairs]

    def embed_segments(
        self, segments: Segments, index: Tensor, output: FrameOutput, frame: Frame
    ) -> Tensor:
        return self.embed(output.stage.track_feats[0, segments.rows.kernels[index]])


def check_references(references: Optional[FrameBatch]) -> FrameBatch:
    """The reference frames; raises ValueError where there are none."""
    if references is None:
        raise ValueError('tracking is trained on pairs of frames; no reference frames given')
    return references


def matched_ids(frames: FrameBatch, matches: List[Match]) -> List[Tensor]:
    """Instance ids (p,) of the matched things of each frame."""
    return [t.objects.ids[match.objects] for t, match in zip(frames.targets, matches)]
