"""Transforms of a key frame and its reference frame.

A pipeline works on a list of frames (dicts): the key frame, in video training followed by the reference frame. Random
choices are drawn once per list, so that both frames change alike. Ground truth travels as two maps, classes and
instances; masks, labels and boxes are read off them at the end, after resize, flip and crop.
"""
from typing import Dict, List, Sequence, Tuple

import numpy as np
import torch
from mmcv import imdenormalize
from mmcv.parallel import DataContainer
from mmcv.utils import build_from_cfg
from mmdet.core import BitmapMasks
from mmdet.datasets.builder import PIPELINES
from mmdet.datasets.pipelines import RandomFlip, Resize

from knet.errors import InputError
from knet.label_space import LabelSpace
from knet.step_format import read_png

Frames = List[Dict]


@PIPELINES.register_module()
class LoadFrames:
    """Read images and, where the data set gives a `read_truth`, their maps.

    Adds to each frame `img` (H, W, 3) uint8 BGR and its shapes, and with ground truth `gt_semantic_seg` (H, W) uint8
    model classes, 255 = void, and `gt_instance_map` (H, W) uint16, both as mmdet `seg_fields`.

    Raises:
        InputError: a file is missing or damaged, image and map differ in size, or the map holds a class that the
            label space does not have.
    """

    def __call__(self, frames: Frames) -> Frames:
        return [self._load(frame) for frame in frames]

    def _load(self, frame: Dict) -> Dict:
        record = frame['record']
        img = read_png(record.image)
        if img.dtype != np.uint8 or img.ndim != 3 or img.shape[2] != 3:
            raise InputError(f'{record.image} is {img.dtype} of shape {img.shape}, not an 8-bit colour image')
        frame.update(img=img, filename=str(record.image), sequence=record.sequence, frame=record.frame, ori_shape=img.shape,
                     img_shape=img.shape, pad_shape=img.shape, img_fields=['img'], seg_fields=[])
        read_truth = frame.pop('read_truth')
        if read_truth:
            semantic, instance = read_truth(record)
            if semantic.shape != img.shape[:2]:
                raise InputError(f'{record.panoptic} has the size {semantic.shape}, its image {img.shape[:2]} (height, width); '
                                 f'sequence {record.sequence}, frame {record.frame}')
            check_classes(semantic, frame['label_space'], record)
            frame.update(gt_semantic_seg=frame['label_space'].train_to_model[semantic], gt_instance_map=instance.astype(np.uint16),
                         seg_fields=['gt_semantic_seg', 'gt_instance_map'])
        return frame


def check_classes(semantic: np.ndarray, label_space: LabelSpace, record) -> None:
    """Raise InputError where a map of train ids holds a class that the label space does not have."""
    counts = np.bincount(semantic.ravel(), minlength=256)
    counts[:label_space.num_classes] = 0
    counts[label_space.void] = 0
    if counts.any():
        raise InputError(f'{record.panoptic}: class id {int(counts.nonzero()[0][0])} is outside 0..{label_space.num_classes - 1} '
                         f'and {label_space.void} (void); sequence {record.sequence}, frame {record.frame}')


@PIPELINES.register_module()
class ResizeFrames:
    """Resize all frames by the same random ratio, aspect kept.

    Args:
        img_scale: (width, height) of the box that an image at ratio 1 fits in.
        ratio_range: Least and largest ratio.
    """

    def __init__(self, img_scale: Tuple[int, int], ratio_range: Tuple[float, float] = (1.0, 1.0)):
        self.img_scale = tuple(img_scale)
        self.ratio_range = tuple(ratio_range)
        self.resize = Resize(img_scale=self.img_scale, keep_ratio=True)

    def __call__(self, frames: Frames) -> Frames:
        ratio = np.random.uniform(*self.ratio_range)
        scale = tuple(int(side * ratio) for side in self.img_scale)
        return [self.resize({**frame, 'scale': scale}) for frame in frames]


@PIPELINES.register_module()
class FlipFrames:
    """Flip all frames horizontally, or none.

    Args:
        flip_ratio: Probability of the flip.
    """

    def __init__(self, flip_ratio: float = 0.5):
        self.flip_ratio = flip_ratio
        self.flip = RandomFlip(flip_ratio=flip_ratio)

    def __call__(self, frames: Frames) -> Frames:
        flip = bool(np.random.rand() < self.flip_ratio)
        return [self.flip({**frame, 'flip': flip, 'flip_direction': 'horizontal'}) for frame in frames]


@PIPELINES.register_module()
class CropFrames:
    """Cut the same random window out of all frames; frames that are smaller than the window stay as they are.

    Args:
        crop_size: (height, width) of the window.
    """

    def __init__(self, crop_size: Tuple[int, int]):
        self.crop_size = tuple(crop_size)

    def __call__(self, frames: Frames) -> Frames:
        height, width = (min(frame['img'].shape[axis] for frame in frames) for axis in (0, 1))
        top = np.random.randint(max(height - self.crop_size[0], 0) + 1)
        left = np.random.randint(max(width - self.crop_size[1], 0) + 1)
        window = (slice(top, top + self.crop_size[0]), slice(left, left + self.crop_size[1]))
        for frame in frames:
            for key in ['img', *frame['seg_fields']]:
                frame[key] = frame[key][window]
            frame['img_shape'] = frame['pad_shape'] = frame['img'].shape
        return frames


@PIPELINES.register_module()
class EachFrame:
    """Apply a transform without randomness (Normalize, Pad, ...) to each frame.

    Args:
        transform: Config of the transform.
    """

    def __init__(self, transform: Dict):
        self.transform = build_from_cfg(transform, PIPELINES)

    def __call__(self, frames: Frames) -> Frames:
        return [self.transform(frame) for frame in frames]


def things_of_map(semantic: np.ndarray, instance: np.ndarray, label_space: LabelSpace) -> Dict[str, np.ndarray]:
    """Masks of the things of a frame.

    Thing pixels with instance id 0 are crowd: no object, and void for the masks.

    Args:
        semantic: (H, W), model classes.
        instance: (H, W), instance ids.

    Returns:
        `masks` (n, H, W) uint8; `labels` (n,) int64 model classes; `bboxes` (n, 4) float32 x1, y1, x2, y2;
        `instance_ids` (n,) int64, unique in a sequence also over classes.
    """
    is_thing = (semantic < len(label_space.thing_ids)) & (instance > 0)
    codes = np.where(is_thing, (semantic.astype(np.int64) << 16) | instance, -1)
    ids = np.unique(codes[is_thing])
    masks = codes == ids[:, None, None]
    boxes = np.zeros((len(ids), 4), np.float32)
    for box, mask in zip(boxes, masks):
        x, y = mask.any(0).nonzero()[0], mask.any(1).nonzero()[0]
        box[:] = x[0], y[0], x[-1] + 1, y[-1] + 1
    return dict(masks=masks.astype(np.uint8), labels=ids >> 16, bboxes=boxes, instance_ids=ids)


def image_of_tensor(img: torch.Tensor, meta: Dict) -> np.ndarray:
    """The picture that a packed frame holds: normalization and padding turned back.

    Args:
        img: (3, H, W), float32, as `PackFrames` gives it.
        meta: Its `img_metas`.

    Returns:
        (h, w, 3), uint8 RGB, in the size before padding.
    """
    norm, (height, width) = meta['img_norm_cfg'], meta['img_shape'][:2]
    # imdenormalize turns the channels round where the normalization did: BGR in any case
    image = imdenormalize(img[:, :height, :width].permute(1, 2, 0).cpu().numpy(), norm['mean'], norm['std'], to_bgr=norm['to_rgb'])
    return image.round().clip(0, 255).astype(np.uint8)[..., ::-1]


def _image_tensor(frame: Dict) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frame['img'].transpose(2, 0, 1)))


@PIPELINES.register_module()
class PackFrames:
    """Turn a list of frames into what the models take.

    Key frame: `img` (3, H, W), `img_metas`, and in training `gt_masks` (BitmapMasks), `gt_labels` (n,), `gt_bboxes`
    (n, 4), `gt_semantic_seg` (1, H, W) and, in pairs, `gt_instance_ids` (n,). Reference frame: the same with `ref_` and a
    leading reference axis: `ref_img` (1, 3, H, W), `ref_gt_semantic_seg` (1, 1, H, W), `ref_gt_masks` a list; labels,
    ids and boxes get a first column with the index of the reference frame (0).
    """
    meta_keys = ('filename', 'sequence', 'frame', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip', 'img_norm_cfg')

    def __call__(self, frames: Frames) -> Dict:
        key, references = frames[0], frames[1:]
        packed = dict(img=DataContainer(_image_tensor(key), stack=True),
                      img_metas=DataContainer(self._meta(key), cpu_only=True))
        if 'gt_semantic_seg' in key:
            things = self._things(key)
            packed.update(
                gt_masks=DataContainer(things['masks'], cpu_only=True),
                gt_semantic_seg=DataContainer(self._semantic(key), stack=True, padding_value=255),
                gt_labels=DataContainer(things['labels']),
                gt_bboxes=DataContainer(things['bboxes']))
            if references:
                packed.update(self._pack_references(references), gt_instance_ids=DataContainer(things['instance_ids']))
        return packed

    def _pack_references(self, references: Sequence[Dict]) -> Dict:
        things = [self._things(frame) for frame in references]

        def with_index(name):
            values = [frame[name] if frame[name].dim() == 2 else frame[name][:, None] for frame in things]  # each (n, 1 or 4)
            return DataContainer(torch.cat([torch.cat([v.new_full((len(v), 1), i), v], 1) for i, v in enumerate(values)]))

        return dict(
            ref_img=DataContainer(torch.stack([_image_tensor(frame) for frame in references]), stack=True),
            ref_img_metas=DataContainer([self._meta(frame) for frame in references], cpu_only=True),
            ref_gt_masks=DataContainer([frame['masks'] for frame in things], cpu_only=True),
            ref_gt_semantic_seg=DataContainer(torch.stack([self._semantic(frame) for frame in references]), stack=True,
                                              padding_value=255),
            ref_gt_labels=with_index('labels'),
            ref_gt_bboxes=with_index('bboxes'),
            ref_gt_instance_ids=with_index('instance_ids'))

    @staticmethod
    def _semantic(frame: Dict) -> torch.Tensor:
        """(1, H, W) model classes; crowd keeps its class here, the heads read only stuff classes off this map."""
        return torch.from_numpy(np.ascontiguousarray(frame['gt_semantic_seg']))[None]

    @staticmethod
    def _things(frame: Dict) -> Dict:
        things = things_of_map(frame['gt_semantic_seg'], frame['gt_instance_map'], frame['label_space'])
        masks = things.pop('masks')
        return {'masks': BitmapMasks(masks, *masks.shape[-2:]), **{name: torch.from_numpy(value) for name, value in things.items()}}

    def _meta(self, frame: Dict) -> Dict:
        return {name: frame[name] for name in self.meta_keys if name in frame}
