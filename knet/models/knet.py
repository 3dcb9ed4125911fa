"""K-Net: panoptic segmentation of images with a set of learned kernels (arXiv 2106.14855)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmcv.runner import BaseModule
from mmdet.models.builder import DETECTORS, build_backbone, build_head, build_neck
from torch import Tensor

from knet.errors import InputError
from knet.label_space import LabelSpace
from knet.models.kernels.kernel_set import KernelSet
from knet.models.kernels.stage import StageOutput
from knet.models.mask_grid import MaskGrid
from knet.models.matching.targets import ImageTargets, prepare_targets
from knet.models.panoptic_fusion import (
    Candidates,
    FusionOptions,
    Segments,
    fill_with_stuff,
    merge,
    select_kernels,
)
from knet.models.precision import single
from knet.structures import (
    Frame,
    FrameBatch,
    FrameResult,
    SegmentRows,
    VideoState,
    map_tensors,
    to_device,
)


@dataclass
class FrameOutput:
    """What the network says of a frame.

    Attributes:
        stage: Output of the last stage, B = 1, float32.
        levels: FPN levels, each (1, C, H/s, W/s).
    """

    stage: StageOutput
    levels: List[Tensor]


def grid_of(frame: Frame, logits: Tensor, upsample_stride: int) -> MaskGrid:
    """Maps of a frame, (M, h, w) logits, as a grid that is read in the frame's original size."""
    padded = (frame.image.shape[-2], frame.image.shape[-1])
    return MaskGrid(logits, upsample_stride, padded, frame.size, frame.original_size)


@DETECTORS.register_module()
class KNet(BaseModule):
    """backbone → neck → `rpn_head` (first kernels, masks) → `roi_head` (stages) → panoptic merge.

    Inside, class ids are model classes: things 0..T-1, stuff T..T+S-1, 255 = unlabelled. Results
    have the data set's ids.

    Args:
        label_space: The classes; T and S follow from it.
        backbone, neck: mmdet configs; the neck's `out_channels` are filled in.
        rpn_head: Config of `ConvKernelHead`.
        roi_head: Config of `KernelIterHead`.
        train_cfg: `assigner`: config of the matching, for both heads; `only_labelled`: whether
            losses and costs of masks look only at pixels of some mask; `sparse_labels`: see
            `prepare_targets` (both False by default).
        num_proposals: Number N of thing kernels.
        channels: Channels C of kernels and feature maps.
        test_cfg: Fields of `FusionOptions`.
    """

    num_references = 0
    """Reference frames that the training needs beside each key frame."""

    def __init__(
        self,
        label_space: LabelSpace,
        backbone: Dict,
        neck: Dict,
        rpn_head: Dict,
        roi_head: Dict,
        train_cfg: Dict,
        num_proposals: int = 100,
        channels: int = 256,
        test_cfg: Optional[Dict] = None,
        init_cfg: Optional[Dict] = None,
    ):
        super().__init__(init_cfg)
        num_things, num_stuff = len(label_space.thing_ids), len(label_space.stuff_ids)
        self.label_space = label_space
        self.kernel_set = KernelSet(num_proposals, num_things, num_stuff, channels)
        self.only_labelled = train_cfg.get('only_labelled', False)
        self.sparse_labels = train_cfg.get('sparse_labels', False)
        common = dict(kernel_set=self.kernel_set, assigner=train_cfg['assigner'])
        self.backbone = build_backbone(backbone)
        self.neck = build_neck({**neck, 'out_channels': channels})
        self.rpn_head = build_head({**rpn_head, **common})
        self.roi_head = build_head({**roi_head, **common})
        self._check_paths()
        self.fusion = FusionOptions(**(test_cfg or {}))
        self.precision: Optional[torch.dtype] = None
        """Type of autocast of the network in testing; None: float32."""
        # FPN levels that nothing reads get no gradient; frozen, they need no search for unused
        # parameters in distributed training
        for conv in self.neck.fpn_convs[self.rpn_head.localization_fpn.end_level + 1 :]:
            conv.requires_grad_(False)

    def _check_paths(self) -> None:
        """Raise InputError unless each path that starts is read by branches, and the reverse."""
        starts = set(self.rpn_head.paths)
        for number, stage in enumerate(self.roi_head.mask_head):
            if set(stage.paths) != starts:
                raise InputError(
                    f'branches of stage {number} read the paths {sorted(stage.paths)}, '
                    f'rpn_head.paths has {sorted(starts)}; each needs the other: name the path in '
                    'rpn_head.paths and as path of a branch'
                )

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def extract_feat(self, images: Tensor) -> Sequence[Tensor]:
        """(B, 3, H, W) normalized images → FPN levels, each (B, C, H/s, W/s)."""
        return self.neck(self.backbone(images))

    def forward(self, frames: FrameBatch) -> Dict[str, Any]:
        """Losses of a batch of images, and values for the log.

        Args:
            frames: With ground truth.

        Returns:
            `loss_rpn_*` of the first masks, `s<stage>_*` of the stages.
        """
        targets = self.prepare_targets(frames)
        return self.segmentation_losses(self.extract_feat(frames.images), targets)

    def segmentation_losses(
        self, levels: Sequence[Tensor], targets: Sequence[ImageTargets]
    ) -> Dict[str, Any]:
        """Losses of images, see `forward`, from their FPN levels."""
        initial = self.rpn_head(levels)
        losses, matches = self.rpn_head.loss(initial, targets)
        (num_positive,) = self.roi_head.num_positives(targets)
        outputs = self.roi_head(initial)
        return {**losses, **self.roi_head.loss(outputs, targets, matches, num_positive).losses}

    def prepare_targets(self, frames: FrameBatch) -> List[ImageTargets]:
        """Ground truth at the stride of the losses."""
        return prepare_targets(
            frames.targets,
            self.kernel_set.num_thing_classes,
            self.roi_head.mask_assign_stride,
            self.only_labelled,
            self.sparse_labels,
        )

    def new_state(self) -> VideoState:
        """State at the start of a video."""
        return VideoState()

    @torch.no_grad()
    def step(self, frame: Frame, state: VideoState) -> Tuple[FrameResult, VideoState]:
        """Segment a frame; in eval mode.

        Args:
            frame: The next frame of a video, or an image.
            state: `new_state()` for an image and for the first frame of a video, else what the
                step before returned. Videos may be segmented in turns, each with its own state.

        Returns:
            the result in the frame's original size, and the state for the next frame.
        """
        (result,), state = self.step_clip([frame], state)
        return result, state

    @torch.no_grad()
    def step_clip(
        self, frames: Sequence[Frame], state: VideoState
    ) -> Tuple[List[FrameResult], VideoState]:
        """Segment frames that follow each other and have one size: `step` for each of them, but all
        that does not look at the frame before is computed together.

        Args:
            frames: The next frames of a video, at least one.
            state: See `step`.
        """
        for frame in frames:
            if not isinstance(frame, Frame):
                raise TypeError(f'a frame is expected, not {type(frame).__name__}: prepare_frame')
        results = []
        for frame, output in zip(frames, self.predict(frames, state)):
            segments, semantic = self.merge(output.stage, frame)
            ids, state = self.identify(segments, output, frame, state)
            result = self.make_result(segments, semantic, ids)
            result.outputs = self.describe(segments, output.stage, frame)
            results.append(result)
        return results, state

    def predict(self, frames: Sequence[Frame], state: VideoState) -> Iterator[FrameOutput]:
        """Output for each frame, in float32; see `step_clip`."""
        images = to_device(torch.stack([frame.image for frame in frames]), self.device)
        autocast = partial(
            torch.autocast, images.device.type, self.precision, enabled=self.precision is not None
        )
        with autocast():
            levels = self.extract_feat(images)
            inputs = self.roi_head.before_last_stage(self.rpn_head(levels))
        previous = state.kernels
        for row in map(slice, range(len(frames)), range(1, len(frames) + 1)):
            with autocast():
                own, own_levels = map_tensors(itemgetter(row), (inputs, list(levels)))
                output = map_tensors(single, self.roi_head.last_stage(own, previous))
            if self.num_references:  # the state that comes of it has these kernels
                previous = output.kernels
            yield FrameOutput(output, own_levels)

    def merge(self, output: StageOutput, frame: Frame) -> Tuple[Segments, Tensor]:
        """Panoptic merge of a frame.

        Args:
            output: Of the last stage, for this frame alone.
            frame: Its sizes.

        Returns:
            segments, and the semantic map (H, W), model classes, in which pixels without a segment
            have the most likely stuff class.
        """
        scores = output.predictions['classes'][0].sigmoid()
        chosen = select_kernels(scores, self.kernel_set, self.fusion.max_per_img)
        stride = self.roi_head.mask_head[-1].branches['masks'].upsample_stride
        masks = grid_of(frame, output.predictions['masks'][0, chosen.kernels], stride)
        candidates = Candidates(masks, chosen)
        segments = merge(candidates, self.fusion)
        return segments, fill_with_stuff(segments, candidates)

    def describe(
        self, segments: Segments, output: StageOutput, frame: Frame
    ) -> Dict[str, np.ndarray]:
        """What the branches that the merge does not read say of a frame, by name."""
        return {
            name: branch.describe(
                output.predictions[name][0], output.paths, segments, partial(grid_of, frame)
            )
            for name, branch in self.roi_head.mask_head[-1].branches.items()
            if name not in ('classes', 'masks')
        }

    def identify(
        self,
        segments: Segments,
        output: FrameOutput,
        frame: Frame,
        state: VideoState,
    ) -> Tuple[Tensor, VideoState]:
        """Instance ids of the segments, (n,) (those of stuff are not read), and the next state.

        Images have no past: the ids are the numbers of the segments.
        """
        return torch.arange(1, len(segments.rows) + 1, device=segments.map.device), state

    def make_result(self, segments: Segments, semantic: Tensor, ids: Tensor) -> FrameResult:
        """Bring a result to the CPU and to the class ids of the data set.

        Args:
            segments: Segments of the frame.
            semantic: (H, W), model classes.
            ids: (n,), instance id of each segment; those of stuff are not read.
        """
        rows, ids = segments.rows, ids * segments.rows.is_thing
        instance = torch.cat([ids.new_zeros(1), ids])[segments.map]
        classes = self.label_space.model_to_train
        return FrameResult(
            semantic=classes[semantic.to(torch.uint8).cpu().numpy()],
            instance=instance.to(torch.int32).cpu().numpy(),
            segments=SegmentRows(
                labels=classes[rows.labels.cpu().numpy()].astype(np.int64),
                scores=rows.scores.float().cpu().numpy(),
                areas=rows.areas.cpu().numpy(),
                ids=ids.cpu().numpy(),
            ),
            segment_map=segments.map.to(torch.int32).cpu().numpy(),
        )
