"""Segment a video, a folder of images or a camera: one command from a file to a video with classes,
objects and track ids drawn over it, and to files that other programs load.

    python tools/video_demo.py CONFIG CHECKPOINT INPUT --out DIR

DIR/video.mp4         overlay with the sound of INPUT                                    (video)
DIR/panoptic/         maps in STEP encoding, which tools/eval_dstq_step.py reads         (maps)
DIR/coco_*.json, DIR/youtube_vis.json, DIR/coco_panoptic/      see knet/coco_format.py   (json)
DIR/frames/           pictures of the overlay                                            (frames)
DIR/images/           the frames themselves; the JSON files name them                    (images)

Ctrl-C finishes all of them with the frames so far; a second one ends at once.
"""

from knet.commands import main

if __name__ == '__main__':
    main('video_demo')
