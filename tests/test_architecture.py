"""Who may import whom, read off the imports of the source files."""

import ast
from typing import Dict, List, Set

import pytest

from tests.conftest import ROOT

COMMON = {
    'structures',
    'label_space',
    'coco_format',
    'step_format',
    'files',
    'errors',
    'parallel',
    'options',
}
ALLOWED: Dict[str, Set[str]] = {
    **{name: COMMON for name in COMMON},
    'evaluation': COMMON - {'structures'},
    'visualization': COMMON - {'structures'},
    'report': (COMMON - {'structures'}) | {'evaluation', 'visualization'},
    'models': COMMON,
    'data': COMMON,
    'tasks': COMMON | {'data', 'evaluation'},
    'apis': COMMON | {'tasks', 'models', 'data', 'visualization'},
    'commands': COMMON
    | {'apis', 'tasks', 'models', 'data', 'evaluation', 'report', 'visualization'},
}
"""Room → rooms that it may import beside itself."""
FOREIGN = {
    'evaluation': {'torch', 'mmcv', 'mmdet'},
    'visualization': {'torch', 'mmcv', 'mmdet'},
    'report': {'torch', 'mmcv', 'mmdet'},
    'options': {'torch', 'mmcv', 'mmdet'},
    'label_space': {'torch', 'mmcv', 'mmdet'},
    'step_format': {'torch', 'mmcv', 'mmdet'},
    'coco_format': {'torch', 'mmcv', 'mmdet'},
    'files': {'torch', 'mmcv', 'mmdet'},
    'errors': {'torch', 'mmcv', 'mmdet'},
    'parallel': {'torch', 'mmcv', 'mmdet'},
    'structures': {'mmcv', 'mmdet'},
}
"""Room → packages that it must not import."""
FILES = sorted((ROOT / 'knet').rglob('*.py'))


def imports(path) -> List[str]:
    """Modules that a file imports, anywhere in it."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: imports are absolute'
            names.append(node.module)
    return names


def room(path) -> str:
    return path.relative_to(ROOT / 'knet').parts[0].removesuffix('.py')


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    own = room(path)
    if own in ('__init__', '__main__'):
        return
    for name in imports(path):
        package, *rest = name.split('.')
        assert package not in FOREIGN.get(own, ()), f'{own} imports {name}'
        if package == 'knet' and rest and rest[0] != own:
            assert rest[0] in ALLOWED[own], f'{own} imports {name}'


@pytest.mark.parametrize(
    'folder, words',
    [
        ('models', ('kitti', 'cityscapes', 'waymo', 'toy_step')),
        ('apis', ('kitti', 'cityscapes', 'waymo', 'toy_step', 'STQ', 'VPQ', "'PQ'", 'mIoU')),
    ],
)
def test_rooms_that_name_no_data_set_and_no_metric(folder, words):
    for path in (ROOT / 'knet' / folder).rglob('*.py'):
        found = [word for word in words if word in path.read_text()]
        assert not found, f'{path} names {found}'


def test_libraries_do_not_print():
    calls = [
        str(path)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, 'id', None) == 'print'
    ]
    assert not [path for path in calls if '/commands/' not in path]
