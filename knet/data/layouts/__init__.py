"""Layouts of data sets on disk."""

from knet.data.layouts.cityscapes import CityscapesLayout
from knet.data.layouts.step import StepLayout

__all__ = ['CityscapesLayout', 'StepLayout']
