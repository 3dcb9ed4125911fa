"""Data sets, transforms and loaders. Importing this package registers them with mmdet."""
from knet.data.cityscapes_step import CityscapesSTEPDataset
from knet.data.loaders import build_test_loader, build_train_loader
from knet.data.step import STEPDataset
from knet.data.transforms import CropFrames, EachFrame, FlipFrames, LoadFrames, PackFrames, ResizeFrames

__all__ = ['CityscapesSTEPDataset', 'CropFrames', 'EachFrame', 'FlipFrames', 'LoadFrames', 'PackFrames', 'ResizeFrames', 'STEPDataset', 'build_test_loader',
           'build_train_loader']
