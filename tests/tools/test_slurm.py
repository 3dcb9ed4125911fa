"""tools/slurm_train.sh and tools/slurm_test.sh under a real Slurm with two nodes, one process on
each."""

import re

import pytest

from tests.conftest import ROOT
from tests.documents import DOCUMENTS, blocks, commands, run_command
from tests.tools import slurm as slurm_tools

DOCUMENTED = {
    re.search(r'tools/(\w+)\.sh', line)[1]: line
    for document in DOCUMENTS
    for block in blocks(document)
    for line in commands(block)
    if '/slurm_' in line
}
"""The launchers' command lines in the documents, by the names of the launchers."""

pytestmark = pytest.mark.skipif(
    slurm_tools.why_not() is not None, reason=f'no Slurm to start here: {slurm_tools.why_not()}'
)


@pytest.fixture(scope='module')
def slurm(tmp_path_factory):
    service = slurm_tools.Slurm(tmp_path_factory.mktemp('slurm'))
    try:
        service.start()
        yield service
    finally:
        service.stop()


@pytest.fixture
def launch(slurm):
    """Call a launcher as the documents say, for one task on each of two nodes without GPUs."""

    def call(script, config, model, *options):
        line = DOCUMENTED[script]
        for pattern, text in (
            (r'^GPUS=\d+( GPUS_PER_NODE=\d+)?', 'GPUS=2 GPUS_PER_NODE=1'),
            ('PARTITION JOB_NAME', 'toy knet'),
            ('CONFIG', str(config)),
            ('WORK_DIR|CHECKPOINT', str(model)),
            (r'\[options of tools/\w+\.py\]', ' '.join(map(str, options))),
        ):
            line, found = re.subn(pattern, text, line)
            assert found == 1, (line, pattern)
        return run_command(line, ROOT, CPUS_PER_TASK='1', GRES='', **slurm.env)

    return call


@pytest.fixture
def config(tiny_config, tmp_path):
    """Path of a config whose program is the tiny config's after the given lines."""

    def write(lines):
        path = tmp_path / 'config.py'
        path.write_text(f"_base_ = r'{tiny_config}'\nimport os\n{lines}\n")
        return path

    return write


def test_training_and_testing_with_one_process_per_node(launch, config, tmp_path):
    path = config(
        f"open(os.path.join(r'{tmp_path}', '%(SLURMD_NODENAME)s.%(SLURM_PROCID)s' % os.environ), "
        "'w').close()"
    )
    done = launch(
        'slurm_train',
        path,
        tmp_path / 'work',
        '--no-validate',
        '--cfg-options',
        'runner.max_epochs=1',
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert {file.suffix for file in tmp_path.glob('n[12].*')} == {'.0', '.1'} and len(
        list(tmp_path.glob('n[12].*'))
    ) == 2
    assert (tmp_path / 'work' / 'epoch_1.pth').exists() and len(
        list((tmp_path / 'work').glob('*.log'))
    ) == 1
    done = launch(
        'slurm_test',
        path,
        tmp_path / 'work' / 'latest.pth',
        '--out',
        tmp_path / 'results',
        '--eval',
        'STQ',
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (
        len(list((tmp_path / 'results' / 'panoptic').glob('*/*.png'))) == 8
        and done.stdout.count('STQ by class') == 1
    )


def test_a_run_that_is_asked_to_stop_ends_with_its_status(slurm, launch, config, tmp_path):
    """Whichever process ends first: Slurm signals the others then."""
    stop = f"""
import threading, time
def stop():
    while not os.path.exists(r'{tmp_path}/work/epoch_1.pth'): time.sleep(0.1)
    if os.environ['SLURM_PROCID'] == '0':
        os.system('scancel --signal=USR1 ' + os.environ['SLURM_JOB_ID'])
threading.Thread(target=stop, daemon=True).start()
"""
    options = ('--no-validate', '--cfg-options', 'runner.max_epochs=100')
    done = launch('slurm_train', config(stop), tmp_path / 'work', *options)
    assert done.returncode == 75, done.stderr[-3000:]
    assert 'go on with --auto-resume' in done.stderr


def test_a_process_that_fails_ends_the_job_and_its_words_are_seen(launch, config, tmp_path):
    path = config("if os.environ['SLURM_PROCID'] == '1': raise RuntimeError('this node is bad')")
    done = launch('slurm_train', path, tmp_path / 'work')
    assert done.returncode != 0 and 'this node is bad' in done.stderr
    assert not list(tmp_path.glob('work/*.pth'))
