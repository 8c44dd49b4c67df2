# The gateway as an image: build the wheel, then install it without any compiler.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends python3-pip python3-venv
WORKDIR /source
COPY . .
RUN python3 -m venv /venv && /venv/bin/pip wheel --no-deps --wheel-dir /wheels .

FROM python:3.11-slim-bookworm
COPY --from=build /wheels /wheels
RUN wheel=$(echo /wheels/*.whl) \
  && pip install --no-cache-dir "$wheel[aws,azure,gcp]" && rm -r /wheels \
  && useradd --uid 65532 --create-home nonroot
USER 65532
ENV AIGW_RUN_ID=0 AIGW_LISTEN_ADDRESS=0.0.0.0
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["aigw", "healthcheck"]
ENTRYPOINT ["aigw"]
CMD ["run"]
