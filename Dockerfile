# Gridlight with a software Vulkan driver, for machines without a GPU such as those of CI:
#   docker build -t gridlight . && docker run --rm -v "$PWD:/work" gridlight train experiment.toml --device gpu
FROM rust:1-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --profile dist --locked

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libvulkan1 mesa-vulkan-drivers \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /source/target/dist/gridlight /usr/local/bin/
WORKDIR /work
ENTRYPOINT ["gridlight"]
