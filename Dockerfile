# The service and its operator commands in one image: compiled JavaScript, production packages, nothing else.
#
#   docker build -t payalo-receiver .
#   docker run --env-file .env -v payalo-spool:/data -p 3000:3000 payalo-receiver                    the service, all roles
#   docker run ... payalo-receiver node dist/src/main.js receive                                         one role
#   docker run ... payalo-receiver payalo-receiver doctor                                            an operator command
#
# Writes only below /data, so the root file system may be read-only (--read-only). Runs as uid 1000. The same commit produces
# the same files below /app: packages come from package-lock.json, and the compiler writes no dates.

FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# npm's metadata contains dates and npm's version; the program does not read it.
RUN npm ci --ignore-scripts --omit=dev && rm -f node_modules/.package-lock.json

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.ts scripts/
COPY src src
COPY simulator simulator
COPY deploy/image/healthcheck.mjs LICENSE CHANGELOG.md ./
# Readable by every user, regardless of the checkout's umask; the command is executable.
RUN node scripts/build.ts \
 && mkdir /out && mv dist package.json healthcheck.mjs LICENSE CHANGELOG.md /out/ \
 && chmod -R u=rwX,go=rX /out && chmod 755 /out/dist/src/cli.js

FROM node:24-bookworm-slim
# Must match package.json. The release build passes the revision and the date, so that other builds are reproducible.
LABEL org.opencontainers.image.title="payalo-receiver" \
      org.opencontainers.image.description="Receives the PayAlo gateway's payment callbacks, stores each durably, delivers each once." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.url="https://github.com/payalo-receiver/payalo-receiver#readme" \
      org.opencontainers.image.source="https://github.com/payalo-receiver/payalo-receiver" \
      org.opencontainers.image.authors="The payalo-receiver authors" \
      org.opencontainers.image.licenses="MIT"
# A young generation of 4 MB instead of 16 saves about 25 MB of resident memory at almost no cost per callback (docs/performance.md).
ENV NODE_ENV=production \
    NODE_OPTIONS="--disable-warning=ExperimentalWarning --max-semi-space-size=4" \
    SPOOL_DIR=/data/spool
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY --from=build /out ./
RUN ln -s /app/dist/src/cli.js /usr/local/bin/payalo-receiver \
 && mkdir -p /data/spool && chown -R 1000:1000 /data
USER 1000:1000
# The spool outlives the container. Use a named volume (-v payalo-spool:/data); an anonymous one is never drained.
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 CMD ["node", "/app/healthcheck.mjs"]
# The base image's entrypoint execs this command, so signals reach Node directly.
CMD ["node", "/app/dist/src/main.js"]
