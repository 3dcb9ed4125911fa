"""Packaging of Video K-Net; requirements.txt holds the ranges of versions, requirements/lock.txt
the exact ones of the set-up."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


def read_requirements():
    """The requirement lines of requirements.txt, without comments."""
    lines = (ROOT / 'requirements.txt').read_text(encoding='utf-8').splitlines()
    return [line for line in map(str.strip, lines) if line and not line.startswith('#')]


def read_version():
    """The version that the package itself names."""
    text = (ROOT / 'knet' / '__init__.py').read_text(encoding='utf-8')
    return re.search(r"__version__ = '(.+)'", text)[1]


PREPARE = [
    'cityscapesscripts>=2.2',
    'pyarrow>=16',
]  # what datasets/prepare_*.py need beyond requirements.txt

setup(
    name='video-knet',
    version=read_version(),
    description='Video panoptic segmentation with K-Net kernels that follow objects through time',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['knet', 'knet.*']),
    package_data={'knet.report': ['assets/*']},
    install_requires=read_requirements(),
    extras_require={
        'prepare': PREPARE,
        'tests': [
            'pytest>=8,<9',
            'pytest-xdist>=3.6',
            'ruff==0.14.10',
            'mypy==2.4.1',
            'selenium>=4.20',  # drives the Chromium that is there
            *PREPARE,
        ],
    },
)
