"""What this machine has and whether Video K-Net can run on it: see tools/misc/check_environment.py.

Imports nothing but the standard library unless it is there.
"""

import argparse
import contextlib
import importlib
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import List, Sequence, Tuple

from knet import __version__
from knet.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    'torch',
    'torchvision',
    'mmcv-full',
    'mmdet',
    'numpy',
    'scipy',
    'opencv-python',
    'pillow',
    'pycocotools',
    'matplotlib',
    'imageio-ffmpeg',
)
LISTED = ('torch', 'mmcv', 'imageio_ffmpeg')  # modules of PACKAGES
ROOM = 10  # GB: pictures, logs and checkpoints of a training run


def has_kernels(capability: Tuple[int, int], architectures: Sequence[str]) -> bool:
    """Whether a GPU can run a build of torch.

    Binary code (`sm_86`) runs on GPUs of the same major version and the same or a higher minor one,
    intermediate code (`compute_120`) on every GPU from that version on (CUDA programming guide,
    "Application compatibility").

    Args:
        capability: Compute capability of the GPU, major and minor, (7, 0) for a V100.
        architectures: What torch was built for, `torch.cuda.get_arch_list()`.
    """
    for name in architectures:
        kind, number = name.rstrip('abcdefghijklmnopqrstuvwxyz').split('_')
        major, minor = int(number[:-1]), int(number[-1])
        if (major, minor) <= tuple(capability) and (kind == 'compute' or major == capability[0]):
            return True
    return False


class Report:
    """Lines of what was found; problems are counted."""

    def __init__(self):
        self.problems: List[str] = []

    def say(self, what: str, value) -> None:
        """One finding."""
        print(f'{what + ":":16}{value}')

    def problem(self, text: str) -> None:
        """Something that does not work, and what to do."""
        self.problems.append(text)

    def try_import(self, name: str, advice: str):
        """The module, or None and a problem."""
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in LISTED:  # those are named as not installed already
                self.problem(f'{name} cannot be imported ({error}); {advice}')
            return None
        except Exception as error:  # packages that do not fit together fail in many ways
            self.problem(
                f'{name} cannot be imported ({type(error).__name__}: '
                f'{str(error).splitlines()[0] if str(error) else ""}); {advice}'
            )
            return None


def check_versions(report: Report) -> None:
    """The project, the system and the packages."""
    commit = ''
    if (ROOT / '.git').exists():
        with contextlib.suppress(OSError):
            commit = subprocess.run(
                ['git', 'describe', '--always', '--dirty'], cwd=ROOT, capture_output=True, text=True
            ).stdout.strip()
    report.say('video-knet', f'{__version__}, {commit or "not a git checkout"}')
    report.say('system', f'{platform.platform()}, {os.cpu_count()} cores')
    report.say('python', f'{platform.python_version()} ({sys.executable})')
    missing = []
    for name in PACKAGES:
        try:
            report.say(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            report.say(name, 'not installed')
            missing.append(name)
    if missing:
        report.problem(
            f'not installed: {", ".join(missing)}; run `sh tools/setup_env.sh`, or install what '
            'requirements.txt lists'
        )


def check_torch(report: Report) -> None:
    """torch, its GPUs and nccl."""
    torch = report.try_import('torch', 'run `sh tools/setup_env.sh`')
    if torch is None:
        return
    report.say(
        'CPU',
        f'{torch.backends.cpu.get_cpu_capability()} kernels, {torch.get_num_threads()} threads',
    )
    architectures = (
        torch.cuda.get_arch_list() or re.findall(r'sm_\d+', torch._C._cuda_getArchFlags() or '')
        if torch.version.cuda
        else []
    )
    report.say(
        'CUDA of torch',
        f'{torch.version.cuda}, built for {" ".join(architectures) or "no GPU"}'
        if torch.version.cuda
        else 'none',
    )
    count = torch.cuda.device_count()
    if not count:
        report.say('GPUs', 'none; training and testing run on the CPU')
    if shutil.which('nvidia-smi') and not torch.cuda.is_available():
        report.problem(
            'there is an NVIDIA driver but torch can use no GPU: the driver may be older than the '
            'CUDA of torch asks for (525 for '
            'CUDA 12), CUDA_VISIBLE_DEVICES empty, or torch a build without CUDA'
        )
        return
    for i in range(count):
        check_gpu(report, torch, i, architectures)
    if count:
        nccl = torch.distributed.is_nccl_available()
        report.say('nccl', '.'.join(map(str, torch.cuda.nccl.version())) if nccl else 'none')
        if not nccl:
            report.problem('this torch has no nccl: training on several GPUs does not work')


def check_gpu(report: Report, torch, index: int, architectures: Sequence[str]) -> None:
    """Whether this torch has kernels for a GPU."""
    try:
        properties = torch.cuda.get_device_properties(index)
    except RuntimeError as error:
        report.problem(f'GPU {index} cannot be used: {str(error).splitlines()[0]}')
        return
    capability, code = (
        (properties.major, properties.minor),
        f'sm_{properties.major}{properties.minor}',
    )
    works = has_kernels(capability, architectures)
    report.say(
        f'GPU {index}',
        f'{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {code}, torch has '
        f'{"kernels for it" if works else "NO kernels for it"}',
    )
    if not works:
        report.problem(
            f'torch {torch.__version__} has no kernels for GPU {index} ({properties.name}, '
            f'{code}; it was built for '
            f'{" ".join(architectures)}); install a torch that has, see requirements/lock.txt'
        )


def check_parts(report: Report, folder: str) -> None:
    """mmcv's operators, the project itself, ffmpeg and the disk."""
    ops = report.try_import(
        'mmcv.ops',
        'mmcv-full must be built against the installed torch: run `sh tools/setup_env.sh`, or '
        '`pip install --no-build-isolation --no-cache-dir --force-reinstall --no-deps '
        'mmcv-full==1.7.2`',
    )
    if ops is not None:
        report.say(
            'mmcv.ops',
            f'load, CUDA: {ops.get_compiling_cuda_version()} (no config of this project needs its '
            'CUDA kernels)',
        )
    if (
        report.try_import(
            'knet.apis',
            'run `sh tools/setup_env.sh`, or `pip install --no-build-isolation --no-deps -e .`',
        )
        is not None
    ):
        report.say('knet', 'can be imported')
    ffmpeg = report.try_import(
        'imageio_ffmpeg', 'pictures work without it, videos do not: `pip install imageio-ffmpeg`'
    )
    if ffmpeg is not None:
        try:
            report.say('ffmpeg', f'{ffmpeg.get_ffmpeg_version()} ({ffmpeg.get_ffmpeg_exe()})')
        except RuntimeError as error:
            report.problem(f'no ffmpeg for videos: {str(error).splitlines()[0]}')
    free = shutil.disk_usage(folder).free / 1e9
    report.say('free disk', f'{free:.0f} GB at {Path(folder).resolve()}')
    if free < ROOM:
        report.problem(
            f'{free:.1f} GB of free disk at {Path(folder).resolve()}; checkpoints and pictures '
            f'need about {ROOM} GB'
        )


def run(args: argparse.Namespace) -> None:
    """Print the report.

    Raises:
        InputError: the folder does not exist.
        SystemExit: there are problems (status 1).
    """
    if not Path(args.folder).is_dir():
        raise InputError(f'{args.folder} is no folder')
    report = Report()
    check_versions(report)
    check_torch(report)
    check_parts(report, args.folder)
    for text in report.problems:
        print(f'problem: {text}')
    print(
        f'{len(report.problems)} problem{"s" * (len(report.problems) != 1)}'
        if report.problems
        else 'everything is there'
    )
    if report.problems:
        raise SystemExit(1)
