module github.com/countersign-io/countersign/hack/monitoring

go 1.26.7

require github.com/countersign-io/countersign v0.0.0

replace github.com/countersign-io/countersign => ../..
