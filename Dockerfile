# DAF with everything that ./scripts/setup installs. From the repository's root:
#   docker build -t daf . && docker run --rm -v "$PWD/outputs:/daf/outputs" -v "$PWD/mlruns:/daf/mlruns" daf task=evaluate policy=starter
FROM python:3.12-slim-bookworm
# git: every run notes its commit.
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
WORKDIR /daf
COPY . .
RUN ./scripts/setup
ENTRYPOINT ["./scripts/daf-run"]
