"""The chain of refinement stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch
from mmcv.runner import BaseModule, ModuleList
from mmdet.core import build_assigner, reduce_mean
from mmdet.models.builder import HEADS, build_head
from torch import Tensor

from knet.errors import InputError, check_whole
from knet.models.kernels.branches import StageTargets
from knet.models.kernels.kernel_head import InitialKernels
from knet.models.kernels.kernel_set import KernelSet
from knet.models.kernels.stage import KernelUpdateHead, StageInputs, StageOutput
from knet.models.matching.assigner import Match, with_stuff
from knet.models.matching.targets import ImageTargets
from knet.structures import T, map_tensors


@dataclass
class MatchedLosses:
    """Result of `KernelIterHead.loss`.

    Attributes:
        losses: Losses and values for the log, `s<stage>_<name>`.
        matches: Of each image, the things that the last stage's masks and classes match.
    """

    losses: Dict[str, Any]
    matches: List[Match]


@HEADS.register_module()
class KernelIterHead(BaseModule):
    """`num_stages` stages that refine kernels, masks and classes in turn (K-Net, figure 2).

    Args:
        kernel_set: Which kernels there are.
        num_stages: Number of stages.
        mask_head: Config of a stage for all stages, or a list of one config per stage.
        assigner: Config of the matching.
        kernel_link, track_link: Links to the previous frame, of the last stage; no other has any.
        mask_assign_stride: Stride of the ground truth that masks are compared with.
    """

    def __init__(
        self,
        kernel_set: KernelSet,
        num_stages: int,
        mask_head: Union[Dict, Sequence[Dict]],
        assigner: Dict,
        kernel_link: Optional[Dict] = None,
        track_link: Optional[Dict] = None,
        mask_assign_stride: int = 4,
        init_cfg: Optional[Dict] = None,
    ):
        super().__init__(init_cfg)
        check_whole('num_stages', num_stages)
        check_whole('mask_assign_stride', mask_assign_stride)
        configs = [mask_head] * num_stages if isinstance(mask_head, dict) else list(mask_head)
        if len(configs) != num_stages:
            raise InputError(
                f'num_stages is {num_stages}, mask_head lists {len(configs)} stages; list '
                f'{num_stages}, or give one dict for all'
            )
        configs[-1] = {**configs[-1], 'kernel_link': kernel_link, 'track_link': track_link}
        # mmcv's list hands `init_weights` on to the stages; torch's does not
        self.mask_head = ModuleList(
            [build_head({**config, 'kernel_set': kernel_set}) for config in configs]
        )
        self.kernel_set = kernel_set
        self.mask_assign_stride = mask_assign_stride
        self.assigner = build_assigner(assigner)

    def forward(
        self, initial: InitialKernels, previous: Optional[Tensor] = None
    ) -> List[StageOutput]:
        """Run all stages.

        Args:
            initial: Features, kernels and masks of the kernel head.
            previous: Last stage's kernels of the previous frame, (B, N', C), None without one.

        Returns:
            Output of each stage.
        """
        outputs = self._unlinked_stages(initial)
        last = self.last_stage(_stage_inputs(initial, outputs), previous)
        return [*outputs, last]

    def before_last_stage(self, initial: InitialKernels) -> StageInputs:
        """What the last stage starts from: frames of a video go through all others together."""
        return _stage_inputs(initial, self._unlinked_stages(initial))

    def last_stage(self, inputs: StageInputs, previous: Optional[Tensor] = None) -> StageOutput:
        """Output of the last stage; for `previous` see `forward`."""
        return self.mask_head[-1](inputs, previous)

    def forward_pairs(self, initial: InitialKernels) -> Tuple[List[StageOutput], List[StageOutput]]:
        """Run all stages on pairs of frames: the key frames' last stage reads the reference frames.

        Args:
            initial: Of B key frames followed by their B reference frames.

        Returns:
            Output of each stage for the key frames, and for the reference frames.
        """
        outputs = self._unlinked_stages(initial)
        key_inputs, ref_inputs = split_pairs(_stage_inputs(initial, outputs))
        ref = self.last_stage(ref_inputs)
        key = self.last_stage(key_inputs, ref.kernels)
        key_outputs, ref_outputs = split_pairs(outputs)
        return [*key_outputs, key], [*ref_outputs, ref]

    def _unlinked_stages(self, initial: InitialKernels) -> List[StageOutput]:
        """All stages but the last, which alone can have a link to the previous frame."""
        outputs: List[StageOutput] = []
        for stage in self.mask_head[:-1]:
            outputs.append(stage(_stage_inputs(initial, outputs)))
        return outputs

    def num_positives(self, *targets: Sequence[ImageTargets]) -> Tensor:
        """Kernels that get an object: mean over the processes, at least 1.

        All counts travel in one exchange between processes: they follow from the ground truth
        alone, since matching gives every thing a kernel as long as there are kernels.

        Args:
            targets: Lists of the ground truth of images.

        Returns:
            A number for each list, (len(targets),).
        """
        proposals = self.kernel_set.num_proposals
        counts = [
            sum(min(len(image.things), proposals) + len(image.stuff) for image in images)
            for images in targets
        ]
        return reduce_mean(targets[0][0].things.masks.new_tensor(counts)).clamp(min=1)

    def loss(
        self,
        outputs: List[StageOutput],
        targets: Sequence[ImageTargets],
        matches: List[Match],
        num_positive: Tensor,
    ) -> MatchedLosses:
        """Losses of all stages.

        Each stage is matched by the masks and classes of the stage before it, the first one by the
        initial masks.

        Args:
            outputs: Of each stage.
            targets: Ground truth of each image at `mask_assign_stride`.
            matches: Of each image, the matching of the initial masks (`ConvKernelHead.loss`).
            num_positive: See `num_positives`.
        """
        losses = {}
        for i, (stage, output) in enumerate(zip(self.mask_head, outputs)):
            all_matches = with_stuff(matches, targets, self.kernel_set)
            stage_targets = StageTargets(all_matches, targets, num_positive)
            stage_losses = stage.loss(output.predictions, stage_targets)
            losses.update({f's{i}_{name}': value for name, value in stage_losses.items()})
            matches = self._match_things(stage, output, targets)
        return MatchedLosses(losses, matches)

    @torch.no_grad()
    def _match_things(
        self, stage: KernelUpdateHead, output: StageOutput, targets: Sequence[ImageTargets]
    ) -> List[Match]:
        """Match the thing kernels of each image with its things by classes and masks."""
        things = slice(self.kernel_set.num_proposals)
        masks = stage.branches['masks'].upsample(output.predictions['masks'][:, things])
        classes = output.predictions['classes'][:, things, : self.kernel_set.num_thing_classes]
        return self.assigner.assign_all(masks, classes, targets)


def _stage_inputs(initial: InitialKernels, outputs: List[StageOutput]) -> StageInputs:
    """What the next stage starts from: the last one's output, or the initial kernels and masks."""
    if not outputs:
        return StageInputs(initial.feats, initial.kernels, initial.mask_logits, initial.paths)
    last = outputs[-1]
    return StageInputs(initial.feats, last.kernels, last.predictions['masks'], last.paths)


def split_pairs(batch: T) -> Tuple[T, T]:
    """Key and reference frames of structures whose tensors hold the ones followed by the others."""
    return map_tensors(lambda t: t.chunk(2)[0], batch), map_tensors(lambda t: t.chunk(2)[1], batch)
