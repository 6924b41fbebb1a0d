# Countersign in a container: built in one stage, run in another that holds nothing but what running needs.
#
#   docker build -t countersign .
#   docker run --rm -p 8080:8080 -v "$PWD/conf:/etc/countersign:ro" countersign
#
# BuildKit is needed for the cache mounts (the default since Docker 23).

FROM rust:1.95-bookworm AS build
# cmake: zlib-ng under Pingora is built with it.
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Not rust-toolchain.toml: the toolchain is this image's own, and its linters are not needed here.
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
COPY conf conf
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --bin countersign \
    && install -D -m 0755 target/dist/countersign /out/usr/local/bin/countersign \
    && install -d /out/etc/countersign \
    && cp -r conf/. /out/etc/countersign/ \
    && install -d -m 0700 /out/var/lib/countersign

FROM debian:bookworm-slim
# The roots that remote key sets are fetched with; taken from the build image, so nothing is installed here.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/usr/ /usr/
COPY --from=build /out/etc/countersign/ /etc/countersign/
# State outlives the container when a volume is mounted here; the folder belongs to the user, and to nobody else.
COPY --from=build --chown=65532:65532 /out/var/lib/countersign/ /var/lib/countersign/

USER 65532:65532
WORKDIR /var/lib/countersign
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=40s --retries=3 \
    CMD ["/usr/local/bin/countersign", "health", "-c", "/etc/countersign/countersign.yaml"]
ENTRYPOINT ["/usr/local/bin/countersign"]
CMD ["run", "-c", "/etc/countersign/countersign.yaml"]
