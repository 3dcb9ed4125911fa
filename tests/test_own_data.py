"""docs/own_data.md, run from its first line to its last: what it says is what happens."""

import json
import math
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from knet.apis import build_model, init_model, load_config
from knet.apis.work_dir import check_earlier_run
from knet.data import build_train_dataset, catalogue
from knet.errors import InputError
from knet.models.checkpoint import published_state_dict
from knet.step_format import read_panoptic, scan_split, write_panoptic
from tests.conftest import ROOT, assert_one_line_error, run
from tests.documents import run_command

TEXT = (ROOT / 'docs/own_data.md').read_text(encoding='utf-8')
CLASSES = ['water', 'sky', 'quay', 'ship', 'buoy']
QUICKSTART = 'work_dirs/quickstart_seed0/epoch_4.pth'
TOY_CONFIG = 'configs/det/toy_step/video_knet_s3_r18_toy_step.py'
SUBSTITUTIONS = {
    '. .venv/bin/activate': f'PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH',
    'repeat=4': 'repeat=2',
    'max_epochs=4': 'max_epochs=1',
}
"""What the test changes in the document: the environment that runs it, and a shorter training."""


def blocks(language):
    """Fenced blocks of a language, each with the paragraph before it."""
    found = re.finditer(rf'^```{language}\n(.*?)^```$', TEXT, re.DOTALL | re.MULTILINE)
    return [(TEXT[: m.start()].strip().rsplit('\n\n', 1)[-1], substitute(m[1])) for m in found]


def substitute(text):
    for old, new in SUBSTITUTIONS.items():
        text = text.replace(old, new)
    return text


def commands():
    """The lines of the shell blocks; the first block sets up the shell of all."""
    (_, setup), *rest = blocks('sh')
    return setup, [line for _, block in rest for line in block.splitlines()]


def sh(folder, line):
    """Run a line of the document in a folder: the first one in the shell that is set up."""
    setup, lines = commands()
    if line == lines[0]:
        return run('sh', '-e', '-c', f'{setup}{line}', cwd=folder, CUDA_VISIBLE_DEVICES='')
    path = re.search(r'^export PYTHONPATH=(\S+)', setup, re.MULTILINE)[1]
    return run_command(line, folder, PYTHONPATH=path, CUDA_VISIBLE_DEVICES='')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder like the project's, with the files of the document, and the quick start's model with
    random weights."""
    folder = tmp_path_factory.mktemp('project')
    for name in ('configs', 'knet', 'tools'):
        (folder / name).symlink_to(ROOT / name)
    for paragraph, block in blocks('python'):
        name = re.search(r'`(\w+\.py)`', paragraph)[1]
        assert not (folder / name).exists()
        (folder / name).write_text(block)
    torch.manual_seed(0)
    model = init_model(str(ROOT / TOY_CONFIG), device='cpu')
    path = folder / QUICKSTART
    path.parent.mkdir(parents=True)
    torch.save(dict(state_dict=published_state_dict(model), meta=dict()), path)
    return folder


@pytest.fixture(scope='module')
def done(folder):
    """What the commands printed: name of the tool → finished process."""
    found = {}
    for line in commands()[1]:
        name = Path(line.split()[1]).stem
        assert name not in found
        found[name] = sh(folder, line)
        assert found[name].returncode == 0, f'{line}\n{found[name].stderr[-3000:]}'
    return found


def cells(output, start):
    """Cells of the first line of a table that begins with a cell."""
    rows = ([cell.strip() for cell in line.split('|')[1:-1]] for line in output.splitlines())
    return next(row for row in rows if row and row[0] == start)


def test_substitutions_are_of_this_document():
    assert [old for old in SUBSTITUTIONS if TEXT.count(old) != 1] == []


def test_nothing_in_it_is_left_out():
    languages = re.findall(r'^ *```(.*)$', TEXT, re.MULTILINE)[::2]
    assert languages.count('') == 1, 'the names of files'
    assert len(languages) == 1 + len(blocks('sh')) + len(blocks('python'))


def test_files_of_frames(done, folder):
    root = folder / 'data/harbour/video_sequence'
    sequences = {name: scan_split(root / name) for name in ('train', 'val')}
    assert {name: list(found) for name, found in sequences.items()} == {'train': [0, 1], 'val': [2]}
    for found in sequences.values():
        for frames in found.values():
            assert [set(files) for files in frames.values()] == [{'leftImg8bit', 'panoptic'}] * 8
    semantic, instance = read_panoptic(sequences['val'][2][5]['panoptic'])
    assert sorted(np.unique(semantic)) == [0, 1, 2, 3, 4, 255]
    codes = {(int(label), int(number)) for label, number in zip(semantic.flat, instance.flat)}
    assert {code for code in codes if code[0] in (3, 4)} == {(3, 0), (3, 1), (3, 2), (4, 3)}


def test_check_counts_the_own_classes(done):
    output = done['check_dataset'].stdout
    assert 'classes: harbour' in output
    assert cells(output, 'train') == ['train', '2', '16', '64x128', '6', '0']
    assert cells(output, '3')[1:2] + cells(output, '3')[4:6] == ['ship*', '4', '8.0']
    assert [line for line in output.splitlines() if line.startswith(('train: ', 'val: '))] == [
        'train: classes (* thing)',
        'val: classes (* thing)',
    ]


def test_a_wrong_class_ends_the_check(done, folder, tmp_path):
    root = tmp_path / 'harbour'
    shutil.copytree(folder / 'data/harbour', root)
    damage_class(root / 'video_sequence/train/000001_000003_panoptic.png')
    (line,) = (line for line in commands()[1] if 'check_dataset' in line)
    done = sh(folder, line.replace('data/harbour', shlex.quote(str(root))))
    said = 'class id 7 is outside 0..4 and 255 (void)'
    assert_one_line_error(done, said, '000001_000003_panoptic.png')
    assert f'`{said}`' in TEXT


def test_model_starts_from_one_of_other_classes(done, folder):
    log = ''.join(path.read_text() for path in (folder / 'work_dirs/harbour').glob('*.log'))
    (said,) = re.findall(r'`(left at their initial value[^`]*), \.\.\.`', TEXT)
    assert said in log
    line = next(line for line in log.splitlines() if said in line)
    renewed = re.findall(r'[\w.]+\.(\w+)\.(?:weight|bias) \(\(19', line)
    assert len(renewed) == 8 and set(renewed) == {'conv_seg', 'fc_cls'}
    assert 'Epoch(val) [1]' in log and 'STQ: ' in log
    pictures = folder / 'work_dirs/harbour/browse'
    assert len(list(pictures.glob('*.png'))) == 4
    weights = torch.load(folder / 'work_dirs/harbour/latest.pth', weights_only=True)['state_dict']
    assert weights['roi_head.mask_head.2.fc_cls.weight'].shape[0] == len(CLASSES)


def test_figures_of_each_own_class(done, folder):
    figures = json.loads((folder / 'work_dirs/harbour/results/metrics.json').read_text())
    assert figures['classes'] == CLASSES and figures['protocol'] == 'harbour'
    stq = figures['stq']
    assert all(isinstance(value, float) for value in stq['iou_per_class'])
    assert [isinstance(value, float) for value in stq['aq_per_class']] == [False] * 3 + [True] * 2
    assert math.isfinite(stq['STQ']) and math.isfinite(figures['vpq']['VPQ'])
    assert max(stq['iou_per_class']) > 0.2, 'nothing is learned'
    output = done['eval_dstq_step'].stdout
    for name, iou in zip(('water', 'sky', 'quay', 'ship*', 'buoy*'), stq['iou_per_class']):
        assert cells(output, name)[1] == f'{100 * iou:.2f}'
        assert len(cells(done['eval_dvpq_step'].stdout, name)) == 6


def test_pictures_videos_and_page(done, folder):
    out = folder / 'work_dirs/harbour'
    page = (out / 'report.html').read_text()
    assert all(f'"{name}"' in page for name in CLASSES) and '"vegetation"' not in page
    assert (out / 'results/show/worst_frames.png').is_file()
    assert [path.name for path in (out / 'results/show/videos').iterdir()] == ['2.mp4']
    assert (out / 'demo/video.mp4').is_file()
    made = json.loads((out / 'demo/coco_panoptic.json').read_text())
    assert {category['name'] for category in made['categories']} == set(CLASSES)


def damage_class(path):
    semantic, instance = read_panoptic(path)
    semantic[10] = 7
    write_panoptic(path, semantic, instance)


def damage_size(path):
    write_panoptic(path, *(part[:-1] for part in read_panoptic(path)))


def remove_all(path):
    for file in path.parent.iterdir():
        file.unlink()


def train_set(cfg, folder):
    return build_train_dataset(cfg.data, 1)


def load_all(cfg, folder):
    dataset = train_set(cfg, folder)
    return [dataset[index] for index in range(len(dataset))]


def load_quickstart(cfg, folder):
    return build_model(cfg, str(folder / QUICKSTART))


def train_again(cfg, folder):
    check_earlier_run(folder / 'work_dirs/harbour', None, False)


NO_CHANGE = ('', '')
MISTAKES = {
    "unknown data set 'harbour'": (None, ('custom_imports = ', 'unused = '), train_set),
    "No module named 'my_set'": (None, NO_CHANGE, train_set),
    'class id 7 is outside 0..4 and 255 (void)': (damage_class, NO_CHANGE, load_all),
    'does not exist': (None, ("/harbour'", "/harbor'"), train_set),
    'holds no images': (remove_all, NO_CHANGE, train_set),
    'has an image but no map': (Path.unlink, NO_CHANGE, train_set),
    'its image (64, 128) (height, width)': (damage_size, NO_CHANGE, load_all),
    'where the classes differ on purpose, add --ignore-mismatched': (
        None,
        NO_CHANGE,
        load_quickstart,
    ),
    'holds the checkpoints of an earlier run': (None, NO_CHANGE, train_again),
}
"""Lines of the document's last table → what is done to a map, what is replaced in the config, and
what is done then."""


def test_every_line_of_the_table_has_its_mistake():
    rows = [row.split('|')[1] for row in TEXT.split('## 7.')[1].splitlines() if row[:3] == '| `']
    assert sorted(sum((re.findall('`([^`]+)`', row) for row in rows), [])) == sorted(MISTAKES)


@pytest.mark.parametrize('said', MISTAKES)
def test_what_goes_wrong_is_said(said, done, folder, tmp_path, monkeypatch):
    damage, (old, new), use = MISTAKES[said]
    monkeypatch.setattr(catalogue, '_CATALOGUE', dict(catalogue._CATALOGUE))
    monkeypatch.setitem(sys.modules, 'my_set', None)  # what is imported here ends with the test
    del sys.modules['my_set']
    if not said.startswith('No module'):
        monkeypatch.syspath_prepend(folder)
    shutil.copytree(folder / 'data/harbour', tmp_path / 'harbour')
    if damage:
        damage(tmp_path / 'harbour/video_sequence/train/000000_000004_panoptic.png')
    config = tmp_path / 'changed.py'
    text = (folder / 'harbour.py').read_text().replace("'configs/", f"'{ROOT}/configs/")
    config.write_text(text.replace('data/harbour', f'{tmp_path}/harbour').replace(old, new))
    with pytest.raises(InputError, match=re.escape(said)):
        use(load_config(str(config)), folder)
