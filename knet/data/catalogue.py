"""The data sets that configs can name: one record per set.

A set of your own in STEP layout is one more record; a module that calls `register_dataset` and is
named in the config (`custom_imports = dict(imports=['my_set'])`) does the same from outside.
"""

from typing import Dict

from knet.data.base import DatasetInfo
from knet.data.layouts import CityscapesLayout, StepLayout
from knet.errors import InputError
from knet.label_space import STEP

_CATALOGUE: Dict[str, DatasetInfo] = {}


def register_dataset(info: DatasetInfo) -> None:
    """Add a record; one of the same name is replaced."""
    _CATALOGUE[info.name] = info


def find_dataset(name: str) -> DatasetInfo:
    """Record of a set.

    Raises:
        InputError: there is none of this name.
    """
    if not isinstance(name, str) or name not in _CATALOGUE:
        raise InputError(f'unknown data set {name!r}; there are {", ".join(sorted(_CATALOGUE))}')
    return _CATALOGUE[name]


register_dataset(
    DatasetInfo('cityscapes_step', STEP, CityscapesLayout(), 'data/cityscapes', protocol='step')
)
register_dataset(DatasetInfo('kitti_step', STEP, StepLayout(), 'data/kitti-step', protocol='step'))
register_dataset(
    DatasetInfo('waymo_step', STEP, StepLayout(), 'data/waymo-step-5-cameras', protocol='step')
)
register_dataset(DatasetInfo('toy_step', STEP, StepLayout(), 'data/toy_step', protocol='step'))
