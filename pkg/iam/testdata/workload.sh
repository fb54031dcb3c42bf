#!/bin/sh
# What AWS IAM must hold for a Countersign auth-config.
#   sh FILE                   create what is missing, update what is there
#   sh FILE remove            remove the roles
#   sh FILE remove-provider   remove the OIDC provider, which other roles may use
set -eu
account=$(aws sts get-caller-identity --query Account --output text)
action=${1:-create}
found=

# Account 123456789012
if [ "$account $action" = '123456789012 create' ]; then
  found=yes
  if aws iam get-open-id-connect-provider --open-id-connect-provider-arn arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC >/dev/null 2>&1; then
    aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC --client-id sts.amazonaws.com
  else
    aws iam create-open-id-connect-provider --url https://oidc.eks.eu-west-1.amazonaws.com/id/ABC --client-id-list sts.amazonaws.com
  fi
  if aws iam get-role --role-name Report >/dev/null 2>&1; then
    aws iam update-assume-role-policy --role-name Report --policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC"},"Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"StringEquals":{"oidc.eks.eu-west-1.amazonaws.com/id/ABC:aud":"sts.amazonaws.com"},"StringLike":{"oidc.eks.eu-west-1.amazonaws.com/id/ABC:sub":"system:serviceaccount:reports:*"}}}]}'
    aws iam update-role --role-name Report --max-session-duration 3600
  else
    aws iam create-role --path / --role-name Report --max-session-duration 3600 --assume-role-policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC"},"Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"StringEquals":{"oidc.eks.eu-west-1.amazonaws.com/id/ABC:aud":"sts.amazonaws.com"},"StringLike":{"oidc.eks.eu-west-1.amazonaws.com/id/ABC:sub":"system:serviceaccount:reports:*"}}}]}'
  fi
  aws iam put-role-policy --role-name Report --policy-name countersign --policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["bedrock-agentcore:InvokeGateway"],"Resource":["arn:aws:bedrock-agentcore:eu-west-1:123456789012:gateway/tools-abc"]},{"Effect":"Allow","Action":["bedrock-agentcore:InvokeAgentRuntime"],"Resource":["arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/report-x","arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/report-x/*"]}]}'
fi
if [ "$account $action" = '123456789012 remove' ]; then
  found=yes
  if aws iam get-role --role-name Report >/dev/null 2>&1; then
    aws iam delete-role-policy --role-name Report --policy-name countersign || true
    aws iam delete-role --role-name Report
  fi
fi
if [ "$account $action" = '123456789012 remove-provider' ]; then
  found=yes
  aws iam delete-open-id-connect-provider --open-id-connect-provider-arn arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC
fi

if [ -z "$found" ]; then
  echo "nothing to $action in account $account" >&2
  exit 1
fi
