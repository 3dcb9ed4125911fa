"""Test a detector on videos or images: write predictions and coloured images, evaluate them.

python tools/test.py CONFIG CHECKPOINT [--out DIR] [--eval [STQ VPQ | PQ]] [--show-dir [DIR]]
"""

from knet.commands import main

if __name__ == '__main__':
    main('test')
