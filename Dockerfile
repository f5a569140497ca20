# The tracker in a container: docker build -t body-tracker .
#   docker run --rm -v "$PWD":/data body-tracker track /data/clip.mp4 --out /data/out
#   docker run --rm --device /dev/video0 -p 127.0.0.1:8765:8765 body-tracker live --headless --send ws://0.0.0.0:8765
# On an NVIDIA GPU, with the NVIDIA Container Toolkit: docker run --gpus all … --device cuda. Pip's torch for Linux carries
# CUDA; where only a CPU is there, --build-arg TORCH=... takes a smaller build of it that pip can reach.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libegl1 libgles2 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

ARG TORCH="torch>=2.5"
RUN pip install --no-cache-dir "$TORCH"

COPY . /source
# compiles the kernels too, which stay in the package
RUN pip install --no-cache-dir "/source[stream,view]" && rm -rf /source

WORKDIR /data
ENTRYPOINT ["body-tracker"]
