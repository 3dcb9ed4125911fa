"""The chain of refinement stages."""
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, TypeVar, Union

from mmcv.runner import BaseModule, ModuleList
from mmdet.core import build_assigner, reduce_mean
from mmdet.models.builder import HEADS, build_head
from torch import Tensor

from knet.models.kernel_head import InitialKernels
from knet.models.kernel_update_head import StageOutput
from knet.models.mask_matching import Assignment
from knet.models.mask_ops import upsample
from knet.models.mask_targets import MaskTargets

Batch = TypeVar('Batch', InitialKernels, StageOutput)


class MatchedLosses(NamedTuple):
    """Result of `KernelIterHead.loss`.

    Attributes:
        losses: Loss and log values, `s<stage>_<name>`.
        assignments: Per image, the kernels that the last stage's masks and classes match (for the tracking loss).
    """
    losses: Dict[str, Tensor]
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

    def forward(self, initial: InitialKernels, previous: Optional[Tensor] = None) -> List[StageOutput]:
        """Run all stages.

        Args:
            initial: Features, kernels and masks of the kernel head.
            previous: Last stage's object features of the previous frame, (B, N', K*K, C), None without one.

        Returns:
            Output of each stage.
        """
        outputs = self._unlinked_stages(initial)
        return outputs + [self.mask_head[-1](initial.feats, *_kernels_and_masks(initial, outputs), previous)]

    def forward_pairs(self, initial: InitialKernels) -> Tuple[List[StageOutput], List[StageOutput]]:
        """Run all stages on pairs of frames; in the last stage the key frames read the kernels of their reference frames.

        Args:
            initial: Of B key frames followed by their B reference frames.

        Returns:
            Output of each stage for the key frames, and for the reference frames.
        """
        outputs = self._unlinked_stages(initial)
        kernels, mask_logits = _kernels_and_masks(initial, outputs)
        (key_feats, ref_feats), (key_kernels, ref_kernels), (key_masks, ref_masks) = (
            values.chunk(2) for values in (initial.feats, kernels, mask_logits))
        ref = self.mask_head[-1](ref_feats, ref_kernels, ref_masks)
        key = self.mask_head[-1](key_feats, key_kernels, key_masks, ref.object_feats)
        halves = [split_pairs(output) for output in outputs]
        return [half[0] for half in halves] + [key], [half[1] for half in halves] + [ref]

    def _unlinked_stages(self, initial: InitialKernels) -> List[StageOutput]:
        """All stages but the last, which alone can have a link to the previous frame."""
        outputs: List[StageOutput] = []
        for stage in self.mask_head[:-1]:
            outputs.append(stage(initial.feats, *_kernels_and_masks(initial, outputs)))
        return outputs

    def num_positives(self, *targets: List[MaskTargets]) -> Tensor:
        """Kernels that get an object, which the class losses are averaged by: mean over the processes, at least 1.

        All counts travel in one exchange between processes: they follow from the ground truth alone, since matching gives every
        thing a kernel as long as there are kernels.

        Args:
            targets: Lists of the ground truth of images.

        Returns:
            A number for each list, (len(targets),).
        """
        counts = [sum(min(len(target.thing_labels), self.mask_head[0].num_proposals) + len(target.stuff_labels) for target in images)
                  for images in targets]
        return reduce_mean(targets[0][0].thing_masks.new_tensor(counts)).clamp(min=1)

    def loss(self, outputs: List[StageOutput], targets: List[MaskTargets], assignments: List[Assignment],
             num_positive: Tensor) -> MatchedLosses:
        """Losses of all stages.

        Each stage is matched by the masks and classes of the stage before it, the first one by the initial masks.

        Args:
            outputs: Of each stage.
            targets: Ground truth of each image at `mask_assign_stride`.
            assignments: Of each image, the matching of the initial masks (`ConvKernelHead.loss`).
            num_positive: See `num_positives`.
        """
        losses = {}
        for i, (stage, output) in enumerate(zip(self.mask_head, outputs)):
            scaled_logits = upsample(output.mask_logits, stage.mask_upsample_stride)
            stage_losses = stage.loss(output.cls_logits, scaled_logits, assignments, targets, num_positive)
            losses.update({f's{i}_{name}': value for name, value in stage_losses.items()})
            assignments = self._assign(output.cls_logits, scaled_logits, targets)
        return MatchedLosses(losses, assignments)

    def _assign(self, cls_logits: Tensor, mask_logits: Tensor, targets: List[MaskTargets]) -> List[Assignment]:
        """Match the thing kernels of each image with its things by (B, N', T+S) classes and (B, N', H, W) masks."""
        num_proposals, num_things = self.mask_head[0].num_proposals, self.mask_head[0].num_thing_classes
        return [self.assigner.assign(masks[:num_proposals], classes[:num_proposals, :num_things], target.thing_masks, target.thing_labels)
                for classes, masks, target in zip(cls_logits.detach(), mask_logits.detach(), targets)]


def _kernels_and_masks(initial: InitialKernels, outputs: List[StageOutput]) -> Tuple[Tensor, Tensor]:
    """What the next stage starts from: the output of the last one, or the initial kernels and masks."""
    return (outputs[-1].object_feats, outputs[-1].mask_logits) if outputs else (initial.kernels, initial.mask_logits)


def split_pairs(batch: Batch) -> Tuple[Batch, Batch]:
    """Key and reference frames of a named tuple whose tensors hold the ones followed by the others."""
    key, ref = zip(*(values.chunk(2) for values in batch))
    return type(batch)(*key), type(batch)(*ref)
