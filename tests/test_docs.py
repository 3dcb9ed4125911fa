"""Every command of the documents runs, with small data of the true formats for what they name.

docs/own_data.md and docs/extending.md are run from first line to last by tests of their own.
"""

import re
import shutil

import cv2
import pytest
import torch

from knet.apis import init_model, load_config
from knet.commands.options import PROGRAMS, SUBCOMMANDS
from knet.models.checkpoint import published_state_dict
from knet.step_format import scan_split
from tests.conftest import ROOT
from tests.datasets import sources, test_prepare_dvps
from tests.documents import DOCUMENTS, blocks, commands, inline_commands, run_command
from tests.tools.test_analyze_logs import train, val, write_log

TOY_CONFIG = 'configs/det/toy_step/video_knet_s3_r18_toy_step.py'
KNET_CONFIG = 'configs/det/knet_cityscapes_step/knet_s3_r50_fpn.py'
DEPTH_CONFIG = 'configs/det/polyphonic/polyphonic_video_r50_cityscapes_dvps.py'
RUN_BY_OTHERS = {
    'sh tools/quickstart.sh': 'tests/test_container.py',
    'sh tools/run_tests.sh': '.ci/run',
    'sh tools/run_tests.sh ': '.ci/run',
    'sh tools/setup_env.sh': 'tools/run_tests.sh',
    'sh tools/setup_env.sh prepare': 'tools/setup_env.sh',
    'sh requirements/compile.sh': 'tests/test_requirements.py',
    'pip ': 'tests/test_packaging.py',
    'docker ': 'tests/test_container.py',
    'gsutil ': 'DATASET.md',  # downloads from the Waymo Open Dataset
    '{GPUS} sh ./tools/slurm_': 'tests/tools/test_slurm.py',
}
"""Commands that begin so need what a test of one command does not have → where they are run."""
SUBSTITUTIONS = [  # in this order
    (r'\[options of tools/\w+\.py\]', ''),
    (r'\[GPUS\]', '1'),
    (r'\[METRIC \.\.\.\]', 'STQ'),
    (r'\[|\]', ''),
    (r'\{test,train,data,eval,start\}', 'eval --frames 2'),
    (r'KEY=VALUE \.\.\.', 'log_config.interval=1'),
    (
        r'(\$KNET_WORK_DIR|WORK_DIR|work_dirs/knet)/latest\.pth|\bKNET\.pth',
        'knet_cityscapes_step_r50.pth',
    ),
    (r'\bFROM$', 'trained/epoch_1.pth'),
    (r'(train\.sh \w+ configs/\S+) 8 \S*(?:WORK_DIR2?|work_dirs/\w+)', r'\1 1 work_dirs/new'),
    (r'(train\.sh (?:\S+ )?(?:CONFIG|configs/\S+)) (?:GPUS|\d)', r'\1 1'),
    (r'(test\.sh (?:CONFIG|configs/\S+) \S+) 8', r'\1 1'),
    (r'(train\.sh .*CONFIG.*)', r'\1 --no-validate --cfg-options runner.max_epochs=1'),
    (r'(dist_test\.sh CONFIG CHECKPOINT) GPUS', r'\1 1'),
    (r'NNODES=2 (.*) MASTER_ADDR=\S+ PORT=\S+', r'NNODES=1 \1'),
    (r'(train\.sh(?: \w+)? configs/.*)', r'\1 --dry-run --cfg-options data.workers_per_gpu=0'),
    (r'(train\.sh(?: \w+)? configs/(?!.*load-from).*)', r'\1 model.backbone.init_cfg=None'),
    (r'(make_toy_step\.py \S+)', r'\1 --train-sequences 1 --val-sequences 1 --frames 3'),
    (r'get_flops\.py CONFIG --shape H W', 'get_flops.py CONFIG --shape 64 128'),
    (r'browse_dataset\.py CONFIG --number N', 'browse_dataset.py CONFIG --number 1 --out pictures'),
    (r'--seed N', '--seed 1'),
    (r'--work-dir (?:DIR|WORK_DIR)\b', '--work-dir work_dirs/new'),
    (r'(tools/test\.py .*--out) DIR', r'\1 tested'),
    (r'--show-dir DIR', '--show-dir pictures'),
    (r'torchrun --nproc_per_node 8', 'torchrun --standalone --nproc_per_node 1'),
    (r'WORK_DIR \.\.\. --keys', 'trained trained2 --keys'),
    (r'(dist_train\.sh) JOB_NAME (.*) WORK_DIR', r'\1 toy \2 work_dirs/new'),
    (r'RESULTS (data/waymo\S+/native_classes)', r'native_results \1'),
    (r'RESULTS (data/waymo)', r'waymo_results \1'),
    (r'\bIN\.pth', 'trained/epoch_1.pth'),
    (r'(visualize\.py RESULT)$', r'\1 --write semantic'),
    (r'\bWORK_DIR2\b', 'depth'),
    (r' WORK_DIR\b', ' work_dirs/new'),
    (r'\bROOT\b', 'data/kitti-step'),
    (r'\b(?:RESULT2|RESULTS|RESULT_PATH|RESULT)\b', 'results'),
    (r'\b(?:GT_PATH|GT)\b', 'truth'),
    (r'(?<= )INPUT\b', 'drive.mp4'),
    (r'\b(?:CHECKPOINT|MODEL_DIR)\b', 'trained'),
    (r'--load-from trained(?!/)', '--load-from trained/epoch_1.pth'),
    (r'\bCONFIG\b', 'tiny.py'),
    (r'\bDIR\b', 'out'),
]
"""What stands for the placeholders of the documents, and makes the work small."""


def fill(line):
    """A command of a document with all placeholders filled."""
    for pattern, text in SUBSTITUTIONS:
        line = re.sub(pattern, text, line)
    return ' '.join(line.split())


def run_elsewhere(line):
    """Where a command is run, if not here."""
    line = re.sub(r'^GPUS=\d+( GPUS_PER_NODE=\d+)?', '{GPUS}', line)
    for start, place in RUN_BY_OTHERS.items():
        if line == start or start[-1] in ' _' and line.startswith(start):
            return place
    return None


CASES = [
    (block.name, commands(block))
    for document in DOCUMENTS
    if document not in ('docs/own_data.md', 'docs/extending.md')
    for block in blocks(document)
    if commands(block)
] + [(document, inline_commands(document)) for document in DOCUMENTS if inline_commands(document)]
DONE = set()
"""Commands that have run: documents have some in common."""
CODE = [
    block
    for document in ('README.md', 'docs/testing.md')
    for block in blocks(document)
    if block.language == 'python'
]


@pytest.fixture(scope='module')
def project(tmp_path_factory, toy_root, toy_results, tiny_config):
    """A folder like the project's, with downloads, prepared sets, and trained models (by their
    first weights)."""
    folder = tmp_path_factory.mktemp('project')
    for name in ('configs', 'datasets', 'knet', 'tools'):
        (folder / name).symlink_to(ROOT / name)
    sources.write_kitti(folder / 'downloads')
    sources.write_cityscapes(folder / 'downloads/cityscapes')
    sources.write_waymo(folder / 'downloads/waymo')
    test_prepare_dvps.write_cityscapes(folder / 'downloads/cityscapes-dvps')
    test_prepare_dvps.write_semkitti(folder / 'downloads/semkitti-dvps')
    for block in blocks('DATASET.md'):
        for line in commands(block):
            if 'datasets/prepare_' in line:
                extra = ' --native-classes --camera-coverage' * ('5-cameras' in line)
                done = run_command(line + extra, folder)
                assert done.returncode == 0, done.stderr
    waymo = folder / 'data/waymo-step-5-cameras'
    for name, maps in (
        ('native', waymo / 'native_classes/val'),
        ('waymo', waymo / 'video_sequence/val'),
    ):
        for path in maps.glob('*_panoptic.png'):
            stem = path.name.removesuffix('_panoptic.png')
            target = folder / f'{name}_results/panoptic/{int(stem[:6])}/{stem}.png'
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    for config, name in (
        (TOY_CONFIG, 'work_dirs/quickstart_seed0/epoch_4.pth'),
        (tiny_config, 'trained/epoch_1.pth'),
        (KNET_CONFIG, 'knet_cityscapes_step_r50.pth'),
        (DEPTH_CONFIG, 'depth/epoch_1.pth'),
    ):
        torch.manual_seed(0)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {} if config == tiny_config else {'model.backbone.init_cfg': None}
        model = init_model(load_config(str(config), options), device='cpu')
        torch.save(dict(state_dict=published_state_dict(model), meta={}), path)
    (folder / 'work_dirs/quickstart_seed0/latest.pth').symlink_to('epoch_4.pth')
    shutil.copy(tiny_config, folder / 'tiny.py')
    for name in ('trained', 'trained2'):
        rows = [train(1, 1, 3.0), train(1, 2, 2.0), val(1, 0.5)]
        write_log(folder / name / 'run.log.json', rows, config='x = 1')
    (folder / 'results').symlink_to(toy_results[0])
    (folder / 'truth').symlink_to(toy_root)
    images = [
        files['leftImg8bit']
        for files in next(iter(scan_split(toy_root / 'video_sequence/val').values())).values()
    ]
    shutil.copy(images[0], folder / 'street.png')
    frames = [cv2.imread(str(path)) for path in images]
    writer = cv2.VideoWriter(
        str(folder / 'drive.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 10, frames[0].shape[1::-1]
    )
    for frame in frames:
        writer.write(frame)
    writer.release()
    return folder


@pytest.mark.parametrize('name, lines', CASES, ids=[name for name, _ in CASES])
def test_commands_run(project, name, lines, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    for line in lines:
        place = run_elsewhere(line)
        if place:
            assert (ROOT / place).exists()
            continue
        shutil.rmtree(project / 'work_dirs/new', ignore_errors=True)
        shutil.rmtree(project / 'work_dirs/tiny', ignore_errors=True)
        filled = fill(line)
        if filled in DONE:
            continue
        assert not re.search(r'\b[A-Z_]{4,}\b(?!=)', re.sub(r'STQ', '', filled)), filled
        done = run_command(filled, project)
        DONE.add(filled)
        assert done.returncode == 0, f'{line}\n{filled}\n{done.stdout[-1000:]}{done.stderr[-3000:]}'


@pytest.mark.parametrize('block', CODE, ids=[block.name for block in CODE])
def test_python_runs(project, block):
    (project / 'example.py').write_text(
        f"import cv2\ncamera = [cv2.imread('street.png')] * 2\n{block.text}print(result.segments)\n"
    )
    done = run_command('python example.py', project, CUDA_VISIBLE_DEVICES='')
    assert done.returncode == 0 and 'SegmentRows(' in done.stdout, done.stderr[-3000:]


@pytest.mark.parametrize('document', DOCUMENTS)
def test_blocks_hold_nothing_but_commands(document):
    """So that no command is passed over; blocks of files and code are none."""
    for block in blocks(document):
        lines = [re.sub(r'(^|\s)#.*', '', line).strip() for line in block.text.splitlines()]
        if commands(block) and document != 'docs/own_data.md':
            assert commands(block) == [line for line in lines if line], block.name


@pytest.mark.parametrize('document', DOCUMENTS)
def test_options_exist(document):
    known = {'--signal', '--gres', '--time', '--account'}  # of Slurm
    for program in {**PROGRAMS, **SUBCOMMANDS}.values():
        known |= set(program.parser()._option_string_actions)
    for path in (*ROOT.glob('tools/**/*.py'), *ROOT.glob('datasets/*.py')):
        known |= set(re.findall(r"'(--[a-z][a-z-]*)'", path.read_text()))
    text = (ROOT / document).read_text(encoding='utf-8')
    foreign = re.findall(
        r'^.*(?:pip|docker|srun|gsutil|tensorboard|torchrun|apt-get).*$', text, re.MULTILINE
    )
    own = set(re.findall(r'(?<![\w-])--[a-z][a-z-]+', text))
    own -= set(re.findall(r'(?<![\w-])--[a-z][a-z-]+', ' '.join(foreign)))
    assert own <= known, own - known


@pytest.mark.parametrize('document', DOCUMENTS)
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text(encoding='utf-8')
    for target in re.findall(r'\]\(([^)\s]+)\)', text):
        if '://' in target:
            continue
        name, _, anchor = target.partition('#')
        path = (ROOT / document).parent / name if name else ROOT / document
        assert path.exists(), f'{document}: {target}'
        if anchor:
            headings = re.findall(r'^#+ (.*)$', path.read_text(encoding='utf-8'), re.MULTILINE)
            slugs = [re.sub(r'[^\w -]', '', head.lower()).replace(' ', '-') for head in headings]
            assert anchor in slugs, f'{document}: {target}'


@pytest.mark.parametrize('document', DOCUMENTS)
def test_files_exist(document):
    """Paths of the project that are named between backticks."""
    text = (ROOT / document).read_text(encoding='utf-8')
    for name in re.findall(
        r'`((?:configs|datasets|docs|knet|requirements|tests|tools)/[\w./-]+[\w/])`', text
    ):
        assert (ROOT / name).exists(), f'{document}: {name}'


def test_readme_is_short():
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 250
    assert (ROOT / 'docs/street.gif').stat().st_size < 1e6
