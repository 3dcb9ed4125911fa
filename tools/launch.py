"""Starts a tool in several processes of this machine, as torchrun does; tools/launch.sh calls it.

    python tools/launch.py NUMBER NNODES NODE_RANK MASTER_ADDR PORT SCRIPT [options of the script]

NUMBER is the number of processes on this machine; empty: one per GPU, or one without GPUs. Unlike
torchrun's, processes of one machine meet in a file of a private folder and not at an open port;
signals reach them and they have time to save; they end when this one ends, however that ends. Where
one fails, its reason is the last line on stderr, and its exit status is this one's. Processes leave
their input errors in files (`knet.errors`), so that the line is there once, not once per process.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import List, NoReturn, Optional

from knet.errors import LOST_OTHERS, STOPPED
from knet.parallel import end_with_parent

GRACE = 5.0  # seconds for the other processes to end when one has failed
SAVING_GRACE = 60.0  # and when one was asked to stop and has saved
DRIVERS = ('/proc/driver/nvidia', '/dev/nvidiactl', '/dev/dxg', '/dev/kfd')  # Linux, WSL, ROCm
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)


def stop(message: str, status: int) -> NoReturn:
    """End with a line on stderr."""
    sys.stderr.write(f'error: {message}\n')
    sys.exit(status)


def count_processes(number: str) -> int:
    """Processes to start on this machine."""
    if not any(map(os.path.exists, DRIVERS)):  # torch takes seconds to say so
        return int(number or 1)
    import torch

    visible = torch.cuda.device_count()
    if number and 0 < visible < int(number):
        stop(
            f'{number} GPUs are asked for, but this machine shows {visible}; give that or fewer', 1
        )
    return int(number or max(visible, 1))


class Job:
    """The processes of this machine.

    Args:
        command: What each runs.
        number: How many.
        nodes, node_rank: Number of machines, and which one this is.
        address, port: Where the processes of several machines meet.
        folder: Private folder for the files of the job.
    """

    def __init__(
        self,
        command: List[str],
        number: int,
        nodes: int,
        node_rank: int,
        address: str,
        port: str,
        folder: Path,
    ):
        self.folder, self.signal = folder, 0
        self.order: List[int] = []
        """Processes in the order in which they ended."""
        self.killed: List[int] = []
        self.processes: List[subprocess.Popen] = []
        for name in SIGNALS:
            signal.signal(name, self.forward)
        common = dict(WORLD_SIZE=str(nodes * number), LOCAL_WORLD_SIZE=str(number))
        if nodes == 1:
            common['VIDEO_KNET_STORE'] = str(folder / 'store')
        else:
            common.update(MASTER_ADDR=address, MASTER_PORT=port)
        if number > 1:
            common['OMP_NUM_THREADS'] = os.environ.get('OMP_NUM_THREADS', '1')
        for local in range(number):
            own = dict(
                RANK=str(node_rank * number + local),
                LOCAL_RANK=str(local),
                TORCHELASTIC_ERROR_FILE=str(folder / f'{local}.json'),
            )
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, '-u', *command],
                    env={**os.environ, **common, **own},
                    start_new_session=True,  # a terminal's Ctrl-C comes once, by `forward`
                    preexec_fn=end_with_parent,
                )
            )

    def forward(self, number: int, frame: object) -> None:
        """Pass a signal on to all processes."""
        if number != signal.SIGUSR1:
            self.signal = number
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(number)

    def wait(self) -> None:
        """Wait for the end of all processes; when one has failed the others have to end too."""
        deadline = float('inf')
        while len(self.order) < len(self.processes):
            for i, process in enumerate(self.processes):
                if i not in self.order and process.poll() is not None:
                    self.order.append(i)
                    if process.returncode:
                        saving = process.returncode == STOPPED
                        grace = SAVING_GRACE if saving else GRACE
                        deadline = min(deadline, time.monotonic() + grace)
            if time.monotonic() > deadline:
                self.killed = [i for i in range(len(self.processes)) if i not in self.order]
                for i in self.killed:
                    self.processes[i].kill()
                deadline = float('inf')
            time.sleep(0.05)

    def message(self, index: int) -> Optional[str]:
        """What a process said about its end."""
        try:
            return json.loads((self.folder / f'{index}.json').read_text())['message']['message']
        except (OSError, ValueError, KeyError):
            return None

    def end(self) -> NoReturn:
        """End as the processes did."""
        ended = [(i, self.processes[i].returncode, self.message(i)) for i in self.order]
        ended = [item for item in ended if item[0] not in self.killed]
        failed = [item for item in ended if item[1] not in (0, STOPPED)]
        stopped = [item for item in ended if item[1] == STOPPED]
        # the cause is the first that did not end for want of another one, best one that says why
        own = [item for item in failed if LOST_OTHERS not in (item[2] or '')]
        said = [item for item in own if item[2]]
        for i, status, message in [*said[:1], *own[:1], *stopped[:1], *failed[:1]]:
            if message:
                stop(message, status if status > 0 else 128 - status)
            if self.signal:
                break
            if status < 0:
                hint = ' from outside, as the system does when memory is short; try a smaller '
                hint += 'data.samples_per_gpu or fewer processes'
                what = f'process {i} was ended by {signal.Signals(-status).name}'
                stop(what + hint * (-status == signal.SIGKILL), 128 - status)
            stop(f'process {i} ended with status {status}; its messages are above', status)
        sys.exit(128 + self.signal if self.signal else 0)


def main() -> None:
    number, nodes, node_rank, address, port, *command = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix='video-knet-') as folder:
        job = Job(
            command,
            count_processes(number),
            int(nodes),
            int(node_rank),
            address,
            port,
            Path(folder),
        )
        job.wait()
        job.end()


if __name__ == '__main__':
    main()
