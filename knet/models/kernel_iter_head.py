"""The chain of refinement stages."""
from typing import Dict, List, NamedTuple, Optional, Sequence, Union

import torch.nn as nn
from mmcv.runner import BaseModule
from mmdet.core import build_assigner
from mmdet.models.builder import HEADS, build_head
from torch import Tensor

from knet.models.kernel_head import InitialKernels, upsample
from knet.models.kernel_update_head import StageOutput
from knet.models.mask_matching import Assignment
from knet.models.mask_targets import MaskTargets


class TrainOutput(NamedTuple):
    """Result of `KernelIterHead.forward_train`.

    Attributes:
        losses: Loss and log values, `s<stage>_<name>`.
        last: Output of the last stage.
    """
    losses: Dict[str, Tensor]
    last: StageOutput


@HEADS.register_module()
class KernelIterHead(BaseModule):
    """`num_stages` stages that refine kernels, masks and classes in turn (K-Net, figure 2).

    Args:
        num_stages: Number of stages.
        mask_head: Config of a stage, repeated for all stages, or a list of one config per stage. Links to the previous
            frame (`previous_type`, `previous_link`) are built in the last stage only, since only there they are used.
        mask_assign_stride: Stride of the ground truth that masks are compared with.
        train_cfg: `assigner`: config of the matching.
    """

    def __init__(self,
                 num_stages: int,
                 mask_head: Union[Dict, Sequence[Dict]],
                 mask_assign_stride: int = 4,
                 train_cfg: Optional[Dict] = None,
                 init_cfg: Optional[Dict] = None):
        super().__init__(init_cfg)
        configs = [mask_head] * num_stages if isinstance(mask_head, dict) else list(mask_head)
        if len(configs) != num_stages:
            raise ValueError(f'{num_stages} stages but {len(configs)} mask_head configs')
        no_link = dict(previous_type=None, previous_link=None)
        self.mask_head = nn.ModuleList(
            [build_head({**config, **no_link}) for config in configs[:-1]] + [build_head(configs[-1])])
        self.mask_assign_stride = mask_assign_stride
        self.assigner = build_assigner(train_cfg['assigner']) if train_cfg else None

    def forward(self, initial: InitialKernels, previous: Optional[Tensor] = None) -> StageOutput:
        """Run all stages.

        Args:
            initial: Features, kernels and masks of the kernel head.
            previous: Last stage's object features of the previous frame, (B, N', K*K, C), None without one.

        Returns:
            Output of the last stage.
        """
        kernels, mask_logits = initial.kernels, initial.mask_logits
        for stage in self.mask_head:
            output = stage(initial.feats, kernels, mask_logits, previous)
            kernels, mask_logits = output.object_feats, output.mask_logits
        return output

    def forward_train(self, initial: InitialKernels, targets: List[MaskTargets], previous: Optional[Tensor] = None) -> TrainOutput:
        """Run all stages with their losses.

        Each stage is matched by the masks and classes of the stage before it, the first one by the initial masks alone.

        Args:
            initial, previous: As in `forward`.
            targets: Ground truth of each image at `mask_assign_stride`.
        """
        losses = {}
        kernels, mask_logits, cls_logits = initial.kernels, initial.mask_logits, None
        for i, stage in enumerate(self.mask_head):
            assignments = self.assign(mask_logits, cls_logits, targets)
            output = stage(initial.feats, kernels, mask_logits, previous)
            losses.update({f's{i}_{name}': value for name, value in stage.loss(output, assignments, targets).items()})
            kernels, mask_logits, cls_logits = output.object_feats, output.mask_logits, output.cls_logits
        return TrainOutput(losses, output)

    def assign(self, mask_logits: Tensor, cls_logits: Optional[Tensor], targets: List[MaskTargets]) -> List[Assignment]:
        """Match the thing kernels of each image with its things.

        Args:
            mask_logits: (B, N', h, w).
            cls_logits: (B, N', T+S), or None to match by masks alone.
            targets: Ground truth of each image at `mask_assign_stride`.
        """
        stage = self.mask_head[-1]
        mask_logits = upsample(mask_logits[:, :stage.num_proposals].detach(), stage.mask_upsample_stride)
        assignments = []
        for i, target in enumerate(targets):
            thing_logits = None if cls_logits is None else cls_logits[i, :stage.num_proposals, :stage.num_thing_classes].detach()
            assignments.append(self.assigner.assign(mask_logits[i], thing_logits, target.thing_masks, target.thing_labels))
        return assignments
