"""Train a detector.

python tools/train.py CONFIG [--work-dir DIR] [--load-from CHECKPOINT] [--cfg-options KEY=VALUE ...]

SIGTERM and SIGUSR1 let a run save where it stands and end with status 75; it goes on with
--auto-resume.
"""

from knet.commands import main

if __name__ == '__main__':
    main('train')
