"""`python -m knet`, the same as `video-knet`, for launchers of modules such as torchrun."""

from knet.commands import video_knet

if __name__ == '__main__':
    video_knet()
