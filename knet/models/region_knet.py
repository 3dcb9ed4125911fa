"""K-Net that tracks regions of the image, as PolyphonicFormer does (arXiv 2112.02582)."""

from __future__ import annotations

import contextlib
from typing import Any, Dict, Iterator, List, Optional, Sequence

import torch
import torch.nn.functional as F
from mmdet.models.builder import DETECTORS
from torch import Tensor, nn

from knet.models.knet import FrameOutput
from knet.models.matching.targets import ImageTargets
from knet.models.panoptic_fusion import Segments
from knet.models.tracking.embedding import mask_regions
from knet.models.video_knet import TrackingKNet, check_references
from knet.structures import Frame, FrameBatch


@DETECTORS.register_module()
class RegionKNet(TrackingKNet):
    """K-Net frame by frame; things are recognised by features of the regions under their masks.

    Args:
        kwargs: Arguments of `TrackingKNet`; `track_head` is a `RegionEmbedHead`.
    """

    def forward(
        self, frames: FrameBatch, references: Optional[FrameBatch] = None
    ) -> Dict[str, Any]:
        """Losses of a batch of pairs of frames, and values for the log.

        The reference frames only lend their features to the tracking losses, without gradient. The
        published code matches kernels with things first; since every thing gets a kernel, the
        things themselves are the same set.

        Args:
            frames: Key frames, with ground truth.
            references: Their reference frames, with ground truth; equal ids of objects in key and
                reference frame are the same object.

        Returns:
            Losses of the key frames as in `KNet`, and `loss_track`, `loss_track_aux`.
        """
        references = check_references(references)
        targets, ref_targets = self.prepare_targets(frames), self.prepare_targets(references)
        levels = self.extract_feat(frames.images)
        losses = self.segmentation_losses(levels, targets)
        with torch.no_grad(), evaluating(self.backbone, self.neck):
            ref_levels = self.extract_feat(references.images)
        size = frames.images.shape[-2:]
        track_losses = self.track_head.loss(
            self._embeds(levels, targets, size),
            self._embeds(ref_levels, ref_targets, size),
            [target.objects.ids for target in frames.targets],
            [target.objects.ids for target in references.targets],
        )
        return {**losses, **track_losses}

    def _embeds(
        self, levels: Sequence[Tensor], targets: Sequence[ImageTargets], size: Sequence[int]
    ) -> List[Tensor]:
        """Embeddings (n, D) of the things of each frame."""
        regions = []
        for image in targets:
            masks = image.things.masks
            if len(masks):  # as coarse as the masks of a result are before they are upsampled
                masks = F.interpolate(masks[None], size, mode='bilinear', align_corners=False)[0]
            regions.append(mask_regions(masks > 0) if len(masks) else masks.new_zeros((0, 4)))
        embeds = self.track_head(levels, regions)
        return list(embeds.split([len(own) for own in regions]))

    def embed_segments(
        self, segments: Segments, index: Tensor, output: FrameOutput, frame: Frame
    ) -> Tensor:
        regions = mask_regions(segments.map == index[:, None, None] + 1)
        (height, width), (original_height, original_width) = frame.size, frame.original_size
        scale = (width / original_width, height / original_height)
        return self.track_head(output.levels, [regions * regions.new_tensor(scale * 2)])


@contextlib.contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Modules in eval mode."""
    before = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module, mode in zip(modules, before):
            module.train(mode)
