// Package awsiam knows the actions of AWS IAM with their access levels, and which
// of them an operation of an AWS API needs. The data is made from published
// packages, see Sources; rows.go adds what they do not say. Nothing is guessed: an
// operation whose actions are not known is not known here.
package awsiam

//go:generate go run ../../hack/awsiam -out data.txt.gz
