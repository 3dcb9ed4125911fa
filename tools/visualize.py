"""Draw predictions on disk: coloured maps, tracks, error maps, side-by-side videos, and a sheet of
the worst frames.

    python tools/visualize.py RESULT [GT] [--out DIR]

RESULT is what tools/test.py or tools/video_demo.py wrote, GT the data root or the split's folder.
Neither a model nor torch is needed.
"""

from knet.commands import main

if __name__ == '__main__':
    main('visualize')
