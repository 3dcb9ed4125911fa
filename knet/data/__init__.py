"""Data sets, transforms and loaders. Importing this package registers them with mmdet."""
from knet.data.loaders import build_test_loader, build_train_loader
from knet.data.step import STEPDataset
from knet.data.transforms import CropFrames, EachFrame, FlipFrames, LoadFrames, PackFrames, ResizeFrames

__all__ = ['CropFrames', 'EachFrame', 'FlipFrames', 'LoadFrames', 'PackFrames', 'ResizeFrames', 'STEPDataset', 'build_test_loader',
           'build_train_loader']
