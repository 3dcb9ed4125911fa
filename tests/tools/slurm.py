"""A real Slurm for tests: two nodes on this machine, one partition over both."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Dict, List, Optional

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={munge}/socket
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=toy Nodes=n1,n2 Default=YES State=UP
"""


def why_not() -> Optional[str]:
    """What this machine lacks for a Slurm of its own, None if nothing."""
    missing = [name for name in ('munged', 'slurmctld', 'slurmd', 'srun') if not find(name)]
    if missing:
        return f'{", ".join(missing)} not installed (Debian: apt-get install slurm-wlm munge)'
    return 'only root can start slurmd' if os.geteuid() else None


def find(program: str) -> Optional[str]:
    """Path of a program; daemons are where a user's PATH may not lead."""
    return shutil.which(program, path=f'{os.environ["PATH"]}:/usr/sbin:/sbin')


def free_ports(count: int) -> List[int]:
    """TCP ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(('127.0.0.1', 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Slurm:
    """munged, slurmctld and two slurmd, from `start` to `stop`.

    Args:
        folder: Empty folder of their files.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.processes: List[subprocess.Popen] = []

    @property
    def env(self) -> Dict[str, str]:
        """What srun and its like need to find this Slurm; node names do not resolve, so the tasks
        meet at 127.0.0.1."""
        return dict(SLURM_CONF=str(self.folder / 'slurm.conf'), MASTER_ADDR='127.0.0.1')

    def start(self) -> None:
        """Start all four and wait until both nodes are idle."""
        munge = self.folder / 'munge'
        munge.mkdir(mode=0o755)
        (munge / 'key').write_bytes(os.urandom(128))
        (munge / 'key').chmod(0o400)
        (self.folder / 'state').mkdir()
        host = subprocess.run(
            ['hostname', '-s'], capture_output=True, text=True, check=True
        ).stdout.strip()
        (self.folder / 'slurm.conf').write_text(
            CONF.format(host=host, folder=self.folder, munge=munge, ports=free_ports(3))
        )
        self._run(
            'munged',
            '--foreground',
            '--force',
            f'--socket={munge}/socket',
            f'--key-file={munge}/key',
            f'--pid-file={munge}/pid',
            f'--log-file={munge}/log',
            f'--seed-file={munge}/seed',
        )
        self._wait(lambda: (munge / 'socket').exists())
        self._run('slurmctld', '-D')
        for node in ('n1', 'n2'):
            self._run('slurmd', '-D', '-N', node)
        self._wait(lambda: self.ask('sinfo', '--noheader', '-o', '%T %D').split() == ['idle', '2'])

    def _run(self, program: str, *args: str) -> None:
        with open(self.folder / 'output', 'ab') as output:
            self.processes.append(
                subprocess.Popen(
                    [find(program), *args],
                    stdout=output,
                    stderr=output,
                    env={**os.environ, **self.env},
                )
            )

    def _wait(self, ready, seconds: float = 30) -> None:
        deadline = time.time() + seconds
        while not ready():
            ended = [process.args[0] for process in self.processes if process.poll() is not None]
            if ended or time.time() > deadline:
                logs = '\n'.join(
                    path.read_text()[-2000:]
                    for path in (self.folder / 'output', *self.folder.glob('*.log'))
                )
                raise RuntimeError(f'Slurm does not start; ended: {ended}\n{logs}')
            time.sleep(0.1)

    def ask(self, *command: str) -> str:
        """Output of a Slurm command, empty where it fails."""
        return subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **self.env}
        ).stdout.strip()

    def stop(self) -> None:
        """End what is still running, jobs first."""
        if len(self.processes) == 4:
            self.ask('scancel', '--user=root', '--signal=KILL')
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
