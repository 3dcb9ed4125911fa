"""Builds an image as a folder: the instructions of a Dockerfile, carried out in root file systems
of Debian with chroot. For machines on which no container engine runs. Needs root and mmdebstrap.

    python -m tests.dockerfile FOLDER [--build-arg NAME=VALUE] [--run COMMAND]

builds the project's Dockerfile into FOLDER/1, FOLDER/2, ... (a folder for each stage), prints the
size of the last one and runs a command in it.
"""

import argparse
import contextlib
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from string import Template
from typing import Dict, Iterator, List, NamedTuple, Sequence, Tuple

ROOT = Path(__file__).parents[1]
OWN_CERTIFICATES = Path('/usr/local/share/ca-certificates')
# Runs a command inside, as root or as another user, with processes and mounts of its own.
ENTER = """
mount -t proc proc "$ROOT/proc"
mount --bind /dev "$ROOT/dev"
mount -t tmpfs tmpfs "$ROOT/dev/shm"
exec chroot --userspec="$USERSPEC" "$ROOT" /bin/sh -c "$COMMAND"
"""


class Instruction(NamedTuple):
    """A line of a Dockerfile, such as RUN and what it runs."""

    name: str
    text: str


def parse(text: str) -> List[Instruction]:
    """Instructions of a Dockerfile: without comments, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith('#')]
    joined = re.sub(r'\\\n', ' ', '\n'.join(lines))
    return [Instruction(*line.split(None, 1)) for line in joined.splitlines()]


def context_files(folder: Path) -> Iterator[Path]:
    """Files of a build context: all but what .dockerignore names, relative to `folder`."""
    lines = (folder / '.dockerignore').read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith('#')]

    def ignored(path: Path) -> bool:
        name = path.relative_to(folder).as_posix()
        return any(
            fnmatch.fnmatchcase(path.name, pattern[3:])
            if pattern.startswith('**/')
            else fnmatch.fnmatchcase(name, pattern)
            for pattern in patterns
        )

    for path in sorted(folder.iterdir()):
        if not ignored(path):
            for parent, folders, files in os.walk(path) if path.is_dir() else ():
                folders[:] = [name for name in folders if not ignored(Path(parent, name))]
                yield from (Path(parent, name).relative_to(folder) for name in files)
            if path.is_file():
                yield path.relative_to(folder)


class Stage:
    """A stage of a build: its file system, and what the instructions so far have set.

    Args:
        root: Folder of the file system, not there yet.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.folder, self.user = root, '/', '0:0'
        self.command: List[str] = []
        self.environment = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'}
        self.arguments: Dict[str, str] = {}

    def start(self, image: str) -> None:
        """Fill it with the file system of an image of Debian."""
        release = re.fullmatch(r'debian:(\w+)-slim', image)[1]
        subprocess.run(
            ['mmdebstrap', '--quiet', '--variant=minbase', release, str(self.root)], check=True
        )
        shutil.copyfile('/etc/resolv.conf', self.root / 'etc/resolv.conf')
        for name in OWN_CERTIFICATES.glob('*.crt'):
            target = self.root / str(OWN_CERTIFICATES).lstrip('/')
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, target)

    def run(self, command: str) -> None:
        """RUN, in the folder and as the user that it has come to."""
        # what lets pip of this machine reach its index, as engines do by build arguments
        outer = {
            name: value
            for name, value in os.environ.items()
            if name.startswith('PIP_') or name.endswith('_proxy')
        }
        outer['PIP_CERT'] = '/etc/ssl/certs/ca-certificates.crt'
        inner = f'cd {shlex.quote(self.folder)} && {command}'
        subprocess.run(
            ['unshare', '--mount', '--pid', '--fork', '/bin/sh', '-ec', ENTER],
            env={
                **outer,
                **self.arguments,
                **self.environment,
                'ROOT': str(self.root),
                'USERSPEC': self.user,
                'COMMAND': f'unset ROOT USERSPEC COMMAND; {inner}',
            },
            check=True,
        )

    def copy(self, sources: Sequence[Tuple[Path, str]], target: str) -> None:
        """COPY of files, each with its name relative to the target, into a folder."""
        folder = self.root / os.path.join(self.folder, target).lstrip('/')
        for path, name in sources:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, folder / name)


def build(text: str, context: Path, out: Path, arguments: Dict[str, str]) -> Stage:
    """Build an image; gives its last stage.

    Args:
        text: The Dockerfile.
        context: Folder that COPY reads.
        out: Folder of the stages' file systems.
        arguments: Values of ARG.

    Raises:
        subprocess.CalledProcessError: an instruction failed.
        NotImplementedError: an instruction of another kind.
    """
    stages: Dict[str, Stage] = {}
    out.mkdir(parents=True, exist_ok=True)
    files = list(context_files(context))
    for name, rest in parse(text):
        if name == 'FROM':
            image, *alias = rest.split()
            stage = Stage(out / str(len(stages) + 1))
            stages[alias[1] if alias else str(len(stages))] = stage
            stage.start(image)
            continue
        known = {**stage.arguments, **stage.environment}
        if name == 'ARG':
            key, _, value = rest.partition('=')
            stage.arguments[key] = arguments.get(key, value)
        elif name == 'ENV':
            for part in shlex.split(rest):
                key, _, value = part.partition('=')
                stage.environment[key] = Template(value).safe_substitute(known)
        elif name == 'WORKDIR':
            stage.folder = rest
            (stage.root / rest.lstrip('/')).mkdir(parents=True, exist_ok=True)
        elif name == 'USER':
            stage.user = f'{rest}:{rest}'
        elif name == 'RUN':
            stage.run(rest)
        elif name == 'CMD':
            stage.command = json.loads(rest)
        elif name == 'COPY' and rest.startswith('--from='):
            alias, source, target = rest.removeprefix('--from=').split()
            with contextlib.suppress(FileExistsError):
                (stage.root / target.lstrip('/')).parent.mkdir(parents=True)
            source = stages[alias].root / source.lstrip('/')
            # links, for the files of a build stage are not changed any more
            subprocess.run(['cp', '-al', source, stage.root / target.lstrip('/')], check=True)
        elif name == 'COPY':
            *sources, target = rest.split()
            stage.copy(list(_named(sources, context, files)), target)
        else:
            raise NotImplementedError(f'{name} {rest}')
    return stage


def _named(
    sources: Sequence[str], context: Path, files: Sequence[Path]
) -> Iterator[Tuple[Path, str]]:
    """Files that COPY names, each with its name in the target folder."""
    for source in sources:
        found = [path for path in files if path == Path(source) or Path(source) in path.parents]
        if not found:
            raise FileNotFoundError(f'COPY {source}: not in the build context')
        for path in found:
            yield (
                context / path,
                path.name if path == Path(source) else str(path.relative_to(source)),
            )


def size(folder: Path) -> int:
    """Bytes that a folder takes on the disk."""
    return int(subprocess.run(['du', '-s', '-B1', folder], capture_output=True).stdout.split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='folder of the file systems')
    parser.add_argument('--build-arg', action='append', default=[], metavar='NAME=VALUE')
    parser.add_argument('--run', metavar='COMMAND', help='default: that of CMD')
    args = parser.parse_args()
    arguments = dict(part.split('=', 1) for part in args.build_arg)
    stage = build((ROOT / 'Dockerfile').read_text(), ROOT, args.folder.resolve(), arguments)
    print(f'{size(stage.root) / 1e9:.2f} GB', flush=True)
    stage.run(args.run or shlex.join(stage.command))


if __name__ == '__main__':
    main()
