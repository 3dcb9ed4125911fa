"""The chain of refinement stages."""
from typing import Dict, List, NamedTuple, Optional, Sequence, Union

from mmcv.runner import BaseModule, ModuleList
from mmdet.core import build_assigner
from mmdet.models.builder import HEADS, build_head
from torch import Tensor

from knet.models.kernel_head import InitialKernels
from knet.models.kernel_update_head import StageOutput
from knet.models.mask_matching import Assignment
from knet.models.mask_ops import upsample
from knet.models.mask_targets import MaskTargets


class TrainOutput(NamedTuple):
    """Result of `KernelIterHead.forward_train`.

    Attributes:
        losses: Loss and log values, `s<stage>_<name>`.
        last: Output of the last stage.
        assignments: Per image, the kernels that the last stage's masks and classes match (for the tracking loss).
    """
    losses: Dict[str, Tensor]
    last: StageOutput
    assignments: List[Assignment]


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
        # mmcv's list, which hands `init_weights` on to the stages; torch's does not
        self.mask_head = ModuleList(
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

    def forward_train(self, initial: InitialKernels, targets: List[MaskTargets], assignments: List[Assignment],
                      previous: Optional[Tensor] = None) -> TrainOutput:
        """Run all stages with their losses.

        Each stage is matched by the masks and classes of the stage before it, the first one by the initial masks.

        Args:
            initial, previous: As in `forward`.
            targets: Ground truth of each image at `mask_assign_stride`.
            assignments: Of each image, the matching of the initial masks (`ConvKernelHead.loss`).
        """
        losses = {}
        kernels, mask_logits = initial.kernels, initial.mask_logits
        for i, stage in enumerate(self.mask_head):
            output = stage(initial.feats, kernels, mask_logits, previous)
            scaled_logits = upsample(output.mask_logits, stage.mask_upsample_stride)
            stage_losses = stage.loss(output.cls_logits, scaled_logits, assignments, targets)
            losses.update({f's{i}_{name}': value for name, value in stage_losses.items()})
            assignments = self._assign(output.cls_logits, scaled_logits, targets)
            kernels, mask_logits = output.object_feats, output.mask_logits
        return TrainOutput(losses, output, assignments)

    def _assign(self, cls_logits: Tensor, mask_logits: Tensor, targets: List[MaskTargets]) -> List[Assignment]:
        """Match the thing kernels of each image with its things by (B, N', T+S) classes and (B, N', H, W) masks."""
        num_proposals, num_things = self.mask_head[0].num_proposals, self.mask_head[0].num_thing_classes
        return [self.assigner.assign(masks[:num_proposals], classes[:num_proposals, :num_things], target.thing_masks, target.thing_labels)
                for classes, masks, target in zip(cls_logits.detach(), mask_logits.detach(), targets)]
