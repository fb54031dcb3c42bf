# The same programs as in `make images`, without labels and list of modules, for
# people who build with Docker:
#   docker build --build-arg PROGRAM=sidecar --build-arg USER=15337 -t countersign/sidecar:dev .
#   docker build --build-arg PROGRAM=webhook --build-arg USER=65532 -t countersign/webhook:dev .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG PROGRAM=sidecar VERSION=dev TARGETOS TARGETARCH
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY pkg pkg
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$VERSION" -o /program ./cmd/$PROGRAM && \
    mkdir -p /root-fs/etc && echo 'hosts: dns' > /root-fs/etc/nsswitch.conf && cp /program /root-fs/$PROGRAM && \
    ln -s /$PROGRAM /root-fs/entrypoint

FROM scratch
ARG USER=15337
COPY --from=build /root-fs /
USER $USER:$USER
ENTRYPOINT ["/entrypoint"]
