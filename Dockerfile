# The tracker in a container; docs/build.md describes it.
#   docker build -t body-tracker .                                            CPU and NVIDIA GPUs: pip's torch carries CUDA
#   docker build -t body-tracker:tensorrt --build-arg EXTRAS=stream,view,tensorrt .
#   docker build -t body-tracker:cpu --build-arg TORCH="torch==2.13.0+cpu" --build-arg PIP_EXTRA_INDEX_URL=… .
#
#   docker run --rm -v "$PWD":/data body-tracker track /data/clip.mp4 --out /data/out
#   docker run --rm --gpus all -v "$PWD":/data body-tracker track /data/clip.mp4 --out /data/out --device cuda
#   docker run --rm --device /dev/video0 -p 127.0.0.1:8000:8000 body-tracker live --headless --web 8000 --host 0.0.0.0
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libegl1 libgles2 libgl1-mesa-dri libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

# where pip finds a torch without CUDA, which is a tenth in size: torch's download page names the address
ARG PIP_EXTRA_INDEX_URL=""
ARG TORCH="torch>=2.5"
RUN pip install --no-cache-dir "$TORCH"

ARG EXTRAS="stream,view"
COPY . /source
# compiles the kernels too, which stay in the package
RUN pip install --no-cache-dir "/source[$EXTRAS]" && rm -rf /source

WORKDIR /data
ENTRYPOINT ["body-tracker"]
