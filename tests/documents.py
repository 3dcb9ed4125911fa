"""Commands and Python code of the documents, and how a test runs them."""

import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Iterator, List, NamedTuple

from tests.conftest import ROOT, run

DOCUMENTS = [
    'README.md',
    'DATASET.md',
    'CONTRIBUTING.md',
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / 'docs').glob('*.md')),
]
PROGRAMS = (
    'mkdir',
    'python',
    '.venv/bin/python',
    'sh',
    'pip',
    'gsutil',
    'video-knet',
    'docker',
    'torchrun',
)


class Block(NamedTuple):
    """A fenced block: where it begins, its language and its lines."""

    document: str
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f'{self.document}:{self.line}'


def blocks(document: str) -> Iterator[Block]:
    """The fenced blocks of a document."""
    text = (ROOT / document).read_text(encoding='utf-8')
    for found in re.finditer(r'^ *```(\w*)\n(.*?)^ *```$', text, re.DOTALL | re.MULTILINE):
        line = text.count('\n', 0, found.start()) + 1
        yield Block(document, line, found[1], textwrap.dedent(found[2]))


def is_command(line: str) -> bool:
    """Whether a line calls a program, perhaps with variables before it."""
    words = line.split()
    while words and re.match(r'[A-Z_]+=', words[0]):
        words = words[1:]
    return bool(words) and words[0] in PROGRAMS


def commands(block: Block) -> List[str]:
    """The commands of a block, without comments; none if it lists files or is code."""
    if block.language not in ('', 'sh'):
        return []
    lines = [re.sub(r'(^|\s)#.*', '', line).strip() for line in block.text.splitlines()]
    return [line for line in lines if is_command(line)]


def inline_commands(document: str) -> List[str]:
    """Whole commands in the text of a document, between backticks."""
    text = (ROOT / document).read_text(encoding='utf-8')
    text = re.sub(r'^ *```.*?^ *```$', '', text, flags=re.DOTALL | re.MULTILINE)
    found = (' '.join(part.split()) for part in re.findall(r'`([^`]+)`', text))
    return [part for part in found if is_command(part) and ' ' in part and '...' not in part]


def run_command(line: str, folder: Path, **env: str) -> subprocess.CompletedProcess:
    """Run a command in a folder, `python` being this interpreter."""
    words = shlex.split(line)
    if words[0] in ('python', '.venv/bin/python') and words[1].endswith('.py'):
        if '*' not in line and '$' not in line:
            return run(sys.executable, *words[1:], cwd=folder, **env)
    if words[0] == 'video-knet':
        return run(sys.executable, Path(sys.executable).with_name(words[0]), *words[1:], cwd=folder)
    path = f'{Path(sys.executable).parent}:{env.pop("PATH", "")}'
    script = f'PATH={shlex.quote(path)}:$PATH\n{line}'
    return run('sh', '-e', '-c', script, cwd=folder, PYTHON=sys.executable, **env)
