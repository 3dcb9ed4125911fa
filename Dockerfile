# Video K-Net with the packages of requirements/lock.txt.
#
#   docker build -t video-knet .                              # NVIDIA GPUs (the host has the driver); runs without one too
#   docker build -t video-knet --build-arg DEVICE=cpu .       # without CUDA: less than half the size
#   mkdir -p work_dirs && docker run --rm --user "$(id -u)" -v "$PWD/work_dirs:/opt/video-knet/work_dirs" video-knet sh tools/quickstart.sh
#
# docs/installation.md has the command lines with data, GPUs and other users' ids.
FROM debian:bookworm-slim AS build
ARG DEVICE=cuda
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/video-knet
# Only what the set-up reads, so that a change of the code does not install everything anew.
COPY requirements.txt setup.py pyproject.toml README.md LICENSE ./
COPY requirements/lock.txt requirements/
COPY tools/setup_env.sh tools/build_mmcv_wheel.py tools/
COPY knet/__init__.py knet/
RUN case $DEVICE in \
        cuda) ;; \
        cpu) export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu ;; \
        *) echo "DEVICE must be cpu or cuda, got '$DEVICE'" >&2; exit 1 ;; \
    esac; \
    PIP_NO_CACHE_DIR=1 XDG_CACHE_HOME=/tmp/cache sh tools/setup_env.sh && rm -rf /tmp/cache
COPY . .

FROM debian:bookworm-slim
# OpenCV needs libGL and GLib.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libgl1 libglib2.0-0 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home knet
COPY --from=build /opt/video-knet /opt/video-knet
WORKDIR /opt/video-knet
# Folders of the host take their place; --user may name anybody.
RUN mkdir data work_dirs && chmod 777 data work_dirs
ENV PATH=/opt/video-knet/.venv/bin:$PATH HOME=/tmp USER=knet
USER 1000
CMD ["video-knet", "check"]
