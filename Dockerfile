# Countersign in a container: built in one stage, run in another that holds nothing but what running needs.
#
#   docker build -t countersign .
#   docker run --rm -p 8080:8080 -v "$PWD/conf:/etc/countersign:ro" countersign
#
# How to run it, and what it needs: docs/operations.md. Any builder will do; nothing here is BuildKit's alone.

# The toolchain of rust-toolchain.toml, and the same Debian in both, so that the C library is the one that was linked against.
# Publishers name them by digest, or on a mirror: --build-arg RUNTIME=gcr.io/distroless/cc-debian13:nonroot@sha256:...
ARG TOOLCHAIN=rust:1.95.0-slim-trixie
ARG RUNTIME=gcr.io/distroless/cc-debian13:nonroot

FROM ${TOOLCHAIN} AS build
# zlib-ng under Pingora is built with them.
RUN apt-get update && apt-get install -y --no-install-recommends cmake make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Not rust-toolchain.toml: it asks for linters, which are not needed here.
COPY Cargo.toml Cargo.lock ./
# Named in Cargo.toml, so they must be there.
COPY benches benches
# All dependencies, in a layer that stays until what has been copied so far changes. What stands in for the sources is forgotten at once:
# by its time alone it could pass for newer than them.
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && cargo build --locked --profile dist --bin countersign \
    && cargo clean --locked --profile dist --package countersign \
    && rm -r src
COPY src src
# Built into `countersign demo`.
COPY conf/demo.yaml conf/demo.yaml
# `--build-arg BUILD=trained` takes twice as long and gives a faster one: docs/decisions/0053-a-build-may-be-trained.md.
ARG BUILD=dist
COPY scripts/trained scripts/trained
RUN if [ "$BUILD" = trained ]; then \
      rustup component add llvm-tools && cp "$(scripts/trained)" target/dist/countersign; \
    else \
      cargo build --locked --profile dist --bin countersign; \
    fi
COPY conf /out/conf
# Readable to the user of the image, whatever the modes are here. And a last look: what has been built takes the conf.
RUN chmod -R a+rX,go-w /out/conf && install -d -m 0700 /out/state/countersign \
    && target/dist/countersign check -c /out/conf/countersign.yaml

# The C library, libgcc and a CA bundle. No shell, no package manager.
FROM ${RUNTIME}
COPY --from=build /src/target/dist/countersign /usr/local/bin/countersign
COPY --from=build /out/conf /etc/countersign
# By way of its parent: a folder that is itself the target would get 0755.
COPY --from=build --chown=65532:65532 /out/state/ /var/lib/

USER 65532:65532
WORKDIR /var/lib/countersign
# The one folder that is written to. It outlives the container when a volume with a name is mounted here.
VOLUME ["/var/lib/countersign"]
EXPOSE 8080
STOPSIGNAL SIGTERM
# A process that waits for key sets is not ready for up to `startup_wait`.
HEALTHCHECK --interval=10s --timeout=3s --start-period=40s --retries=3 \
    CMD ["/usr/local/bin/countersign", "health", "-c", "/etc/countersign/countersign.yaml"]
ENTRYPOINT ["/usr/local/bin/countersign"]
CMD ["run", "-c", "/etc/countersign/countersign.yaml"]

# Last, so that a new revision makes no other layer anew.
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Countersign" \
      org.opencontainers.image.description="An authenticating reverse proxy: verifies, renews, decides and countersigns requests in front of services that already exist" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
