"""K-Net: panoptic segmentation of images with a set of learned kernels (arXiv 2106.14855)."""
from typing import Dict, List, Optional, Sequence, Tuple

import torch
from mmdet.core import reduce_mean
from mmdet.models.builder import DETECTORS, build_backbone, build_head, build_neck
from mmdet.models.detectors.base import BaseDetector
from torch import Tensor

from knet.models.kernel_update_head import StageOutput
from knet.models.mask_targets import MaskTargets, prepare_mask_targets
from knet.models.panoptic_fusion import (
    KernelMasks,
    Segments,
    fill_with_stuff,
    merge_joint,
    merge_things_first,
    rescale_masks,
    select_kernels,
)


@DETECTORS.register_module()
class KNet(BaseDetector):
    """backbone → neck → `rpn_head` (first kernels and masks) → `roi_head` (refinement stages) → panoptic merge.

    All class ids are model classes: things 0..T-1, stuff T..T+S-1, 255 = unlabelled.

    Args:
        backbone, neck: mmdet configs.
        rpn_head: Config of `ConvKernelHead`.
        roi_head: Config of `KernelIterHead`.
        train_cfg: `assigner`: config of the matching, for both heads.
        test_cfg: `max_per_img`, `mask_thr`, `instance_score_thr`, `merge_joint` (True: `merge_joint` with `overlap_thr`;
            False: `merge_things_first` with `iou_thr` and `stuff_max_area`).
    """

    def __init__(self,
                 backbone: Dict,
                 neck: Dict,
                 rpn_head: Dict,
                 roi_head: Dict,
                 train_cfg: Optional[Dict] = None,
                 test_cfg: Optional[Dict] = None,
                 init_cfg: Optional[Dict] = None):
        super().__init__(init_cfg)
        self.backbone = build_backbone(backbone)
        self.neck = build_neck(neck)
        self.rpn_head = build_head({**rpn_head, 'train_cfg': train_cfg})
        self.roi_head = build_head({**roi_head, 'train_cfg': train_cfg})
        self.test_cfg = test_cfg
        # FPN levels that nothing reads get no gradient; frozen, they need no search for unused parameters in distributed training
        for conv in self.neck.fpn_convs[self.rpn_head.localization_fpn.end_level + 1:]:
            conv.requires_grad_(False)

    @property
    def num_thing_classes(self) -> int:
        return self.rpn_head.num_thing_classes

    def extract_feat(self, img: Tensor) -> Sequence[Tensor]:
        """(B, 3, H, W) normalized images → FPN levels, each (B, C, H/s, W/s)."""
        return self.neck(self.backbone(img))

    def forward_train(self, img: Tensor, img_metas: List[Dict], gt_masks: List, gt_labels: List[Tensor], gt_semantic_seg: Tensor,
                      gt_bboxes: Optional[List[Tensor]] = None) -> Dict[str, Tensor]:
        """Losses of a batch of images.

        Args:
            img: (B, 3, H, W), normalized.
            img_metas: Not read in training.
            gt_masks: Per image, BitmapMasks of its n things, at most H x W.
            gt_labels: Per image, (n,), 0..T-1.
            gt_semantic_seg: (B, 1, H, W), model classes, 255 = unlabelled.
            gt_bboxes: Not read; part of mmdet's interface.

        Returns:
            `loss_rpn_*` of the first masks, `s<stage>_loss_*` of the stages.
        """
        targets = self._targets(gt_masks, gt_labels, gt_semantic_seg)
        initial = self.rpn_head(self.extract_feat(img))
        rpn_losses, assignments = self.rpn_head.loss(initial, targets)
        num_positive, = self.roi_head.num_positives(targets)
        return {**rpn_losses, **self.roi_head.loss(self.roi_head(initial), targets, assignments, num_positive).losses}

    def _targets(self, gt_masks: List, gt_labels: List[Tensor], gt_semantic_seg: Tensor) -> List[MaskTargets]:
        return prepare_mask_targets(gt_masks, gt_labels, gt_semantic_seg, self.num_thing_classes, self.roi_head.mask_assign_stride)

    def _parse_losses(self, losses: Dict[str, Tensor]) -> Tuple[Tensor, Dict[str, float]]:
        """Total loss and what the log shows, the mean over the processes; called by mmdet's `train_step`.

        All values travel in one exchange between processes and in one transfer from the GPU; mmdet makes one of each per value.
        """
        values = {name: value.mean() for name, value in losses.items()}
        values['loss'] = sum(value for name, value in values.items() if 'loss' in name)
        means = reduce_mean(torch.stack([value.detach().float() for value in values.values()]))
        return values['loss'], dict(zip(values, means.tolist()))

    def forward_test(self, img: Tensor, img_metas: List[Dict]) -> List[Dict]:
        """Same as `simple_test`: there is no test-time augmentation, so inputs are not nested."""
        return self.simple_test(img, img_metas)

    @torch.no_grad()
    def simple_test(self, img: Tensor, img_metas: List[Dict]) -> List[Dict]:
        """Panoptic segmentation of images.

        Args:
            img: (B, 3, H, W), normalized, padded.
            img_metas: Per image `img_shape` (size before padding) and `ori_shape` (size on disk).

        Returns:
            Per image a dict, see `frame_result`; instance ids are the numbers of the segments.
        """
        initial = self.rpn_head(self.extract_feat(img))
        output = self.roi_head(initial)[-1]
        results = []
        for i, meta in enumerate(img_metas):
            segments, semantic = self.panoptic(output, i, img.shape[-2:], meta)
            results.append(frame_result(segments, semantic, torch.arange(1, len(segments.labels) + 1, device=img.device)))
        return results

    def aug_test(self, imgs, img_metas, **kwargs):
        """Always raises TypeError: results of several augmentations cannot be merged into one panoptic map."""
        raise TypeError('K-Net has no test-time augmentation; use one scale without flip in the test pipeline')

    def panoptic(self, output: StageOutput, index: int, batch_input_shape: Sequence[int], meta: Dict) -> Tuple[Segments, Tensor]:
        """Panoptic merge of one image of a batch.

        Args:
            output: Output of the last stage.
            index: Which image of the batch.
            batch_input_shape: (H, W) of the network input.
            meta: `img_shape` and `ori_shape` of the image.

        Returns:
            segments, and the semantic map (H, W) in which pixels without a segment have the most likely stuff class.
        """
        cfg = self.test_cfg
        kernels, labels, scores = select_kernels(output.cls_logits[index].sigmoid(), self.rpn_head.num_proposals,
                                                 self.num_thing_classes, cfg['max_per_img'])
        masks = rescale_masks(output.mask_logits[index][kernels], self.roi_head.mask_head[-1].mask_upsample_stride,
                              batch_input_shape, meta['img_shape'], meta['ori_shape'])
        num_things = int((labels < self.num_thing_classes).sum())
        candidates = KernelMasks(masks, scores, labels, kernels, num_things)
        if cfg['merge_joint']:
            segments = merge_joint(candidates, cfg['instance_score_thr'], cfg['overlap_thr'], cfg['mask_thr'])
        else:
            segments = merge_things_first(candidates, cfg['instance_score_thr'], cfg['iou_thr'], cfg['stuff_max_area'], cfg['mask_thr'])
        return segments, fill_with_stuff(segments, candidates)


def frame_result(segments: Segments, semantic: Tensor, instance_ids: Tensor) -> Dict:
    """Result of a frame as numpy arrays.

    Args:
        segments: Segments of the frame.
        semantic: (H, W), model classes.
        instance_ids: (n,), id of each segment; ids of stuff are not read.

    Returns:
        `semantic`: (H, W), uint8, model classes;
        `instance`: (H, W), int32, instance or track id, 0 = stuff or no id;
        `segments`: list of dicts `label` (model class), `score` (0..1), `area` (pixels), `instance_id` (as in `instance`).
    """
    ids = instance_ids * segments.is_thing
    instance = torch.cat([ids.new_zeros(1), ids])[segments.map]
    rows = zip(segments.labels.tolist(), segments.scores.tolist(), segments.areas.tolist(), ids.tolist())
    return dict(
        semantic=semantic.to(torch.uint8).cpu().numpy(),
        instance=instance.to(torch.int32).cpu().numpy(),
        segments=[dict(label=label, score=score, area=area, instance_id=i) for label, score, area, i in rows])
