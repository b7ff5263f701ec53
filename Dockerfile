# moed in a container: docker build -t moed . && docker run -v /path/to/models:/models:ro -p 8080:8080 moed
# One image for every CPU: the instruction set is chosen when it starts. With NVIDIA GPUs:
# docker build --target cuda -t moed:cuda . && docker run --gpus all … moed:cuda

FROM docker.io/library/debian:bookworm-slim AS build
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        gcc libc6-dev meson ninja-build pkg-config libuv1-dev libmicrohttpd-dev libgnutls28-dev zlib1g-dev \
        libcjson-dev libhttp-parser-dev
COPY . /source
RUN meson setup /build /source --prefix=/usr --buildtype=release -Dserver=enabled -Dtests=disabled && \
    ninja -C /build src/cli/moed && \
    install -D -s /build/src/cli/moed /out/usr/bin/moed && \
    mkdir /out/models

# The same with the GPU's arithmetic. The toolkit's own runtime is linked in; the driver's library comes
# from the host with --gpus.
FROM docker.io/nvidia/cuda:13.0.1-devel-ubuntu22.04 AS toolkit
FROM build AS build-cuda
RUN DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends g++
COPY --from=toolkit /usr/local/cuda-13.0 /usr/local/cuda
RUN meson setup /build-cuda /source --prefix=/usr --buildtype=release -Dserver=enabled -Dtests=disabled \
        -Dcuda=enabled && \
    ninja -C /build-cuda src/cli/moed && \
    install -s /build-cuda/src/cli/moed /out/usr/bin/moed

FROM docker.io/library/debian:bookworm-slim AS runtime
LABEL org.opencontainers.image.title="moed" \
      org.opencontainers.image.description="Serves the mixture-of-experts layers of GGUF models over HTTP" \
      org.opencontainers.image.licenses="MIT"
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libuv1 libmicrohttpd12 libcjson1 libhttp-parser2.9 libgomp1 && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*

# Nobody in particular, who owns no file. Mount the model's folder at /models, read-only; there is
# no VOLUME, which would put a writable folder there where none is mounted.
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10m \
    CMD ["/usr/bin/moed", "health"]
ENTRYPOINT ["/usr/bin/moed"]
CMD ["serve", "/models/model.gguf", "--listen", "0.0.0.0:8080"]

FROM runtime AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-cuda /out/ /

FROM runtime
COPY --from=build /out/ /
