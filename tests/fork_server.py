"""Starts the scripts of tools/ in processes that need not import torch and mmdet first: a process
that has done so forks for each. Starting them one by one takes most of the time of the tests.

A script runs as one of its own would: with its own process, environment, folder, command line and
exit status. Only the modules that it imports are there already.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Dict, List

ROOT = Path(__file__).parents[1]
MODULES = (
    'knet.apis',
    *(f'knet.commands.{path.stem}' for path in sorted((ROOT / 'knet/commands').glob('[a-z]*.py'))),
    'tensorboard.summary.writer.event_file_writer',
    'torch.utils.tensorboard',
    'knet.visualization',
)


class ForkServer:
    """The process that forks; it is started when it is first needed."""

    def __init__(self) -> None:
        self._server = None

    def run(
        self, command: List[str], cwd: Path, timeout: float, env: Dict[str, str]
    ) -> subprocess.CompletedProcess:
        """Run `[sys.executable, SCRIPT, OPTION ...]`; as `subprocess.run` with text output."""
        if self._server is None or self._server.poll() is not None:
            self._server = subprocess.Popen(
                [sys.executable, __file__],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)},
                text=True,
            )
        with tempfile.TemporaryDirectory() as folder:
            out, err = (os.path.join(folder, name) for name in ('out', 'err'))
            request = dict(command=command, cwd=str(cwd), env=env, out=out, err=err)
            self._server.stdin.write(json.dumps({**request, 'timeout': timeout}) + '\n')
            self._server.stdin.flush()
            status = json.loads(self._server.stdout.readline())
            texts = [Path(path).read_text(errors='surrogateescape') for path in (out, err)]
        if status is None:
            raise subprocess.TimeoutExpired(command, timeout, *texts)
        return subprocess.CompletedProcess(command, status, *texts)

    def stop(self) -> None:
        """End the process."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()


def serve() -> Dict:
    """Fork for each request on stdin and answer with the exit status, null when time is up; returns
    the request in each forked process."""
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            return request
        signal.signal(signal.SIGALRM, partial(kill, pid))
        signal.setitimer(signal.ITIMER_REAL, request['timeout'])
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        over = signal.setitimer(signal.ITIMER_REAL, 0)[0] == 0
        print(json.dumps(None if over else status), flush=True)
    os._exit(0)


def kill(pid: int, *_) -> None:
    """Handler of a signal: kill a process."""
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, signal.SIGKILL)


def become(request: Dict) -> None:
    """Be the process that the request asks for."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for descriptor, path in ((0, os.devnull), (1, request['out']), (2, request['err'])):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(request['env'])
    os.chdir(request['cwd'])
    _, script, *options = request['command']
    sys.argv = [script, *options]
    paths = [path for path in os.environ.get('PYTHONPATH', '').split(os.pathsep) if path]
    sys.path[0:2] = [os.path.dirname(os.path.abspath(script)), *paths]
    if any(os.path.isfile(os.path.join(path, 'sitecustomize.py')) for path in paths):
        sys.modules.pop('sitecustomize', None)
        importlib.import_module('sitecustomize')


if __name__ == '__main__':
    for name in MODULES:
        importlib.import_module(name)
    gc.freeze()
    request = serve()
    become(request)
    runpy.run_path(request['command'][1], run_name='__main__')
