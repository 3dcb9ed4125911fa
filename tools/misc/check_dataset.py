"""Check a prepared set, in STEP layout or in that of Cityscapes-STEP, and show what is in it.

    python tools/misc/check_dataset.py ROOT [--nproc N] [--gap N] [--plot FILE]
                                       [--classes step|waymo | --dataset NAME [--import MODULE]]

Reads every image, map and depth. Errors, which make the exit status 1: an image without map or the
reverse, depth for some frames of a split and not for others, a damaged file, files of a frame of
different sizes, a class id out of range, maps of
Cityscapes that contradict each other, a sequence or city that is empty or void. Other oddities of
object ids are only counted: they occur in good sets.
"""

from knet.commands import main

if __name__ == '__main__':
    main('misc/check_dataset')
