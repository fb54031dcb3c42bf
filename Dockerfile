# The images of `make images`, for people who build with Docker: the same files,
# written by the same program, the same user, entrypoint and labels.
#   docker build --target sidecar -t countersign/sidecar:dev .
#   docker build --target webhook -t countersign/webhook:dev .
ARG GO_IMAGE=golang:1.26
FROM --platform=$BUILDPLATFORM $GO_IMAGE AS source
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY pkg pkg
COPY hack hack

FROM source AS sidecar-contents
ARG TARGETOS TARGETARCH VERSION=dev
RUN go run ./hack/images --contents sidecar --platforms $TARGETOS/$TARGETARCH --version $VERSION --out /contents

FROM source AS webhook-contents
ARG TARGETOS TARGETARCH VERSION=dev
RUN go run ./hack/images --contents webhook --platforms $TARGETOS/$TARGETARCH --version $VERSION --out /contents

FROM scratch AS webhook
ARG VERSION=dev REVISION
LABEL org.opencontainers.image.title="Countersign webhook: inject the sidecar into Pods" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.source="https://github.com/countersign-io/countersign" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=webhook-contents /contents /
WORKDIR /
USER 65532:65532
ENTRYPOINT ["/webhook"]

FROM scratch AS sidecar
ARG VERSION=dev REVISION
LABEL org.opencontainers.image.title="Countersign sidecar: use AWS through MCP as the caller" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.source="https://github.com/countersign-io/countersign" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=sidecar-contents /contents /
WORKDIR /
USER 15337:15337
ENTRYPOINT ["/sidecar"]
