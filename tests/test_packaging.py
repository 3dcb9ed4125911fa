"""The source archive and the wheel, installed into environments that do not have the checkout."""

import subprocess
import sys
import sysconfig
from importlib import metadata

import pytest
from packaging.requirements import Requirement

import knet
from tests.conftest import ROOT, assert_one_line_error, run

pytestmark = pytest.mark.skipif(
    not (ROOT / '.git').exists(), reason='the archives are of what git knows'
)
TOY_CONFIG = 'configs/det/toy_step/video_knet_s3_r18_toy_step.py'


@pytest.fixture(scope='module')
def archives(tmp_path_factory):
    """The source archive of what git knows and the wheel that is built from that archive."""
    folder = tmp_path_factory.mktemp('dist')
    source = tmp_path_factory.mktemp('source')
    names = run('git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard').stdout
    for name in filter(None, names.split('\0')):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    done = run(sys.executable, '-m', 'build', '-q', '--no-isolation', '-o', folder, source)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = folder.glob('*.tar.gz'), folder.glob('*.whl')
    return sdist, wheel


@pytest.fixture(scope='module')
def empty(tmp_path_factory, archives):
    """Folder of an environment with the wheel and nothing else."""
    folder = tmp_path_factory.mktemp('empty') / 'env'
    assert run(sys.executable, '-m', 'venv', '--without-pip', folder).returncode == 0
    done = run(
        *(sys.executable, '-m', 'pip', '--python', folder / 'bin/python', 'install', '-q'),
        *('--no-deps', '--no-index', archives[1]),
    )
    assert done.returncode == 0, done.stderr
    return folder


def video_knet(environment, folder, *args, packages=False):
    """Run `video-knet` in a folder; with `packages` those of the environment of the tests can be
    imported, but not its knet."""
    file = next((environment / 'lib').iterdir()) / 'site-packages/packages.pth'
    file.write_text(sysconfig.get_path('purelib') if packages else '')
    return subprocess.run(
        [str(environment / 'bin/video-knet'), *map(str, args)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=dict(PATH='/usr/bin:/bin', OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''),
    )


def test_archives_hold_what_users_need(archives):
    sdist, wheel = (
        set(run('tar', 'tzf', archives[0]).stdout.splitlines()),
        set(run(sys.executable, '-m', 'zipfile', '-l', archives[1]).stdout.split()),
    )
    top = f'video_knet-{knet.__version__}'
    tracked = run('git', 'ls-files').stdout.split()
    missing = {name for name in tracked if (ROOT / name).exists() and f'{top}/{name}' not in sdist}
    assert all(name.startswith('.') for name in missing), missing
    inside = [path for path in (ROOT / 'knet').rglob('*.*') if '__pycache__' not in path.parts]
    inside = {path.relative_to(ROOT).as_posix() for path in inside}
    inside |= {f'knet/{name}' for name in tracked if name.startswith('configs/')}
    assert inside <= wheel, inside - wheel
    assert not [name for name in wheel if name.startswith(('tests/', 'tools/', 'configs/'))]


def test_metadata(empty):
    (distribution,) = (
        found
        for found in metadata.distributions(
            path=[str(next((empty / 'lib').iterdir()) / 'site-packages')]
        )
        if found.name == 'video-knet'
    )
    assert distribution.version == knet.__version__
    about = distribution.metadata
    for key in ('Summary', 'Author', 'License', 'Keywords', 'Project-URL', 'Classifier'):
        assert about[key], key
    assert about['Requires-Python'] == '>=3.10' and about['Description-Content-Type']
    assert '# Video K-Net' in (about['Description'] or about.get_payload())
    needed = [Requirement(text) for text in distribution.requires]
    always = {need.name for need in needed if need.marker is None}
    assert {'torch', 'mmdet', 'numpy'} <= always
    assert 'mmcv-full' not in always  # pip would build it without the torch that is there
    assert set(about.get_all('Provides-Extra')) == {'mmcv', 'prepare', 'tests'}


def test_without_its_packages(empty, tmp_path):
    """It says what is missing, in a line."""
    done = video_knet(empty, tmp_path, '--version')
    assert done.stdout == f'video-knet {knet.__version__}\n', done.stderr
    done = video_knet(empty, tmp_path, 'check')
    assert done.returncode == 1 and 'problem: not installed: torch' in done.stdout, done.stderr
    for arguments in (['train', TOY_CONFIG], ['eval', tmp_path, tmp_path]):
        done = video_knet(empty, tmp_path, *arguments)
        assert_one_line_error(done, 'is not installed for', 'python -m knet check')


def test_programs_of_the_wheel(empty, tmp_path, toy_root, toy_results):
    """They run in a folder of the user's, with the configs of the wheel."""
    options = ('--cfg-options', f'data.root={toy_root}', 'data.workers_per_gpu=0')
    done = video_knet(*(empty, tmp_path, 'train', TOY_CONFIG, '--dry-run', *options), packages=True)
    assert done.returncode == 0, done.stderr
    assert 'everything is ready' in done.stdout + done.stderr
    done = video_knet(empty, tmp_path, 'eval', *toy_results, packages=True)
    assert done.returncode == 0 and 'STQ' in done.stdout and 'VPQ' in done.stdout, done.stderr
    done = video_knet(empty, tmp_path, 'train', 'configs/none.py', packages=True)
    assert_one_line_error(done, 'config configs/none.py does not exist')
