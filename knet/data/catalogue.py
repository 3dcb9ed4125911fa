"""The data sets that configs can name: one record per set.

A set of your own in STEP layout is one more record; a module that calls `register_dataset` and is
named in the config (`custom_imports = dict(imports=['my_set'])`) does the same from outside
(docs/own_data.md).
"""

import importlib
from typing import Dict, List

from knet.data.base import DatasetInfo
from knet.data.layouts import CityscapesLayout, StepLayout
from knet.errors import InputError
from knet.label_space import CITYSCAPES, SEMKITTI, STEP

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
        raise InputError(
            f'unknown data set {name!r}; there are {", ".join(sorted(_CATALOGUE))}; for a set of '
            "your own name the module that registers it: custom_imports = dict(imports=['...']) "
            'in a config, --import on the command line (docs/own_data.md)'
        )
    return _CATALOGUE[name]


def import_datasets(module: str) -> List[str]:
    """Import a module that registers data sets, as `custom_imports` of a config does.

    Args:
        module: Its name; its folder is on the PYTHONPATH.

    Returns:
        names of the sets that it has registered, in rising order; none where it was imported
        before.

    Raises:
        InputError: it is not found, or fails.
    """
    before = dict(_CATALOGUE)
    try:
        importlib.import_module(module)
    except ImportError as error:
        reason = f'{error}; is the folder of the module on the PYTHONPATH?'
        raise InputError(f'the module {module} cannot be imported: {reason}') from None
    except Exception as error:  # a module is a program: anything may be raised in it
        reason = f'{type(error).__name__}: {error}'
        raise InputError(f'the module {module} cannot be imported: {reason}') from None
    return sorted(name for name, info in _CATALOGUE.items() if before.get(name) is not info)


register_dataset(
    DatasetInfo('cityscapes_step', STEP, CityscapesLayout(), 'data/cityscapes', protocol='step')
)
register_dataset(DatasetInfo('kitti_step', STEP, StepLayout(), 'data/kitti-step', protocol='step'))
register_dataset(
    DatasetInfo('waymo_step', STEP, StepLayout(), 'data/waymo-step-5-cameras', protocol='step')
)
register_dataset(DatasetInfo('toy_step', STEP, StepLayout(), 'data/toy_step', protocol='step'))
register_dataset(
    DatasetInfo(
        'cityscapes_dvps',
        CITYSCAPES,
        StepLayout(),
        'data/cityscapes-dvps',
        protocol='cityscapes-dvps',
        fps=3,
    )
)
register_dataset(
    DatasetInfo(
        'semkitti_dvps',
        SEMKITTI,
        StepLayout(),
        'data/semkitti-dvps',
        protocol='semkitti-dvps',
        window_sizes=(1, 5, 10, 20),
    )
)
