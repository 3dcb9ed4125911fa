"""Video K-Net: K-Net whose kernels recognise the same object in the next frame (arXiv 2204.04656)."""
from typing import Dict, List, Optional, Tuple

import torch
import torch.nn as nn
from mmdet.models.builder import DETECTORS, build_head
from torch import Tensor

from knet.models.kernel_iter_head import split_pairs
from knet.models.kernel_update_head import StageOutput, fc_layers
from knet.models.knet import KNet, frame_result
from knet.models.mask_matching import Assignment
from knet.models.panoptic_fusion import segment_boxes
from knet.models.quasi_dense_tracker import build_tracker


@DETECTORS.register_module()
class VideoKNet(KNet):
    """K-Net with a link to the previous frame's kernels, a tracking embedding and a tracker.

    In training it sees pairs of a key frame and a reference frame, which plays the part of the previous frame. In
    testing frames come one by one; everything that is remembered of a sequence is forgotten when another one begins.

    Args:
        track_head: Config of `QuasiDenseEmbedHead`.
        tracker: Config of `QuasiDenseTracker`.
        num_embed_fcs: Hidden layers of the embedding of a kernel, before the track head.
        backbone, neck, rpn_head, roi_head, train_cfg, test_cfg, init_cfg: See `KNet`.
    """

    def __init__(self,
                 backbone: Dict,
                 neck: Dict,
                 rpn_head: Dict,
                 roi_head: Dict,
                 track_head: Dict,
                 tracker: Dict,
                 num_embed_fcs: int = 1,
                 train_cfg: Optional[Dict] = None,
                 test_cfg: Optional[Dict] = None,
                 init_cfg: Optional[Dict] = None):
        super().__init__(backbone, neck, rpn_head, roi_head, train_cfg, test_cfg, init_cfg)
        self.track_head = build_head(track_head)
        channels = self.track_head.in_channels
        self.embed_fcs = fc_layers(channels, num_embed_fcs)
        self.fc_embed = nn.Linear(channels, channels)
        self.tracker = build_tracker(tracker)
        self.reset()

    def reset(self) -> None:
        """Forget the sequence: the next frame is the first of one."""
        self.tracker.reset()
        self._previous: Optional[Tensor] = None
        self._position: Optional[Tuple] = None  # (sequence, frame) of the frame before

    def embed(self, track_feats: Tensor) -> Tensor:
        """Tracking embeddings, (n, K*K, C) with K*K = 1 → (n, D)."""
        feats = track_feats.sum(1)
        for layer in self.embed_fcs:
            feats = layer(feats)
        return self.track_head(self.fc_embed(feats))

    def forward_train(self, img: Tensor, img_metas: List[Dict], gt_masks: List, gt_labels: List[Tensor], gt_semantic_seg: Tensor,
                      gt_instance_ids: List[Tensor], ref_img: Tensor, ref_gt_masks: List[List], ref_gt_labels: List[Tensor],
                      ref_gt_semantic_seg: Tensor, ref_gt_instance_ids: List[Tensor], gt_bboxes: Optional[List[Tensor]] = None,
                      ref_gt_bboxes: Optional[List[Tensor]] = None, ref_img_metas: Optional[List] = None) -> Dict[str, Tensor]:
        """Losses of a batch of pairs of frames.

        Args:
            img: Key frames, (B, 3, H, W), normalized.
            img_metas, ref_img_metas: Not read in training.
            gt_masks, gt_labels, gt_semantic_seg: Ground truth of the key frames, see `KNet.forward_train`.
            gt_instance_ids: Per key frame, (n,); equal ids in key and reference frame are the same object.
            ref_img: Reference frames, (B, 1, 3, H, W).
            ref_gt_masks: Per pair, a list with the masks of its reference frame.
            ref_gt_labels, ref_gt_instance_ids: Per pair, (m, 2): index of the reference frame (0) and value.
            ref_gt_semantic_seg: (B, 1, 1, H, W).
            gt_bboxes, ref_gt_bboxes: Not read; part of mmdet's interface.

        Returns:
            Losses of the key frames as in `KNet`, of the reference frames with the suffixes `_ref_rpn` and `_ref`, and
            `loss_track`, `loss_track_aux`.
        """
        targets = self._targets(gt_masks, gt_labels, gt_semantic_seg)
        ref_targets = self._targets([masks[0] for masks in ref_gt_masks], [labels[:, 1] for labels in ref_gt_labels],
                                    ref_gt_semantic_seg[:, 0])
        initial = self.rpn_head(self.extract_feat(torch.cat([img, ref_img[:, 0]])))
        outputs, ref_outputs = self.roi_head.forward_pairs(initial)
        num_positive, ref_num_positive = self.roi_head.num_positives(targets, ref_targets)

        initial, ref_initial = split_pairs(initial)
        ref_rpn_losses, ref_assignments = self.rpn_head.loss(ref_initial, ref_targets)
        ref = self.roi_head.loss(ref_outputs, ref_targets, ref_assignments, ref_num_positive)
        rpn_losses, assignments = self.rpn_head.loss(initial, targets)
        key = self.roi_head.loss(outputs, targets, assignments, num_positive)

        track_losses = self.track_head.loss(
            self._matched_embeds(outputs[-1], key.assignments), self._matched_embeds(ref_outputs[-1], ref.assignments),
            [ids[pairs.gt_inds] for ids, pairs in zip(gt_instance_ids, key.assignments)],
            [ids[pairs.gt_inds, 1] for ids, pairs in zip(ref_gt_instance_ids, ref.assignments)])
        return {**rpn_losses, **key.losses, **_with_suffix(ref_rpn_losses, '_ref_rpn'), **_with_suffix(ref.losses, '_ref'), **track_losses}

    def _matched_embeds(self, output: StageOutput, assignments: List[Assignment]) -> List[Tensor]:
        """Embeddings (p, D) of the kernels that the things of each frame are matched with."""
        return [self.embed(feats[pairs.kernel_inds]) for feats, pairs in zip(output.track_feats, assignments)]

    @torch.no_grad()
    def simple_test(self, img: Tensor, img_metas: List[Dict]) -> List[Dict]:
        """Segment the next frame of a sequence and continue its tracks.

        Args:
            img: (1, 3, H, W), normalized, padded.
            img_metas: Of the frame: `img_shape`, `ori_shape`, `sequence` and `frame` (numbers). Another sequence, or a
                frame number that does not rise, starts anew.

        Returns:
            A list with the dict of `frame_result`; instance ids are track ids from 1, the same over the sequence.
        """
        meta, = img_metas
        position = (meta['sequence'], meta['frame'])
        if self._position is None or self._position[0] != position[0] or self._position[1] >= position[1]:
            self.reset()
        output = self.roi_head(self.rpn_head(self.extract_feat(img)), self._previous)[-1]
        self._previous, self._position = output.object_feats, position

        segments, semantic = self.panoptic(output, 0, img.shape[-2:], meta)
        things = segments.is_thing.nonzero()[:, 0]
        number = torch.zeros(len(segments.labels) + 1, dtype=torch.long, device=img.device)  # of the thing, of each segment
        number[things + 1] = torch.arange(1, len(things) + 1, device=img.device)
        track_ids = self.tracker.track(
            boxes=segment_boxes(segments.map, len(segments.labels))[things],
            scores=segments.scores[things],
            labels=segments.labels[things],
            embeds=self.embed(output.track_feats[0, segments.kernels[things]]),
            frame=meta['frame'],
            segment_map=number[segments.map] if self.tracker.overlap_weight else None)
        instance_ids = torch.zeros_like(segments.labels)
        instance_ids[things] = (track_ids + 1).clamp(min=0)
        return [frame_result(segments, semantic, instance_ids)]


def _with_suffix(losses: Dict[str, Tensor], suffix: str) -> Dict[str, Tensor]:
    return {name + suffix: value for name, value in losses.items()}
