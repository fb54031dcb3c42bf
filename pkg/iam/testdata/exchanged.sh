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
  if aws iam get-open-id-connect-provider --open-id-connect-provider-arn arn:aws:iam::123456789012:oidc-provider/sts-idp.example.com >/dev/null 2>&1; then
    aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn arn:aws:iam::123456789012:oidc-provider/sts-idp.example.com --client-id sts.amazonaws.com
    aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn arn:aws:iam::123456789012:oidc-provider/sts-idp.example.com --client-id sidecar
  else
    aws iam create-open-id-connect-provider --url https://sts-idp.example.com --client-id-list sts.amazonaws.com sidecar
  fi
  if aws iam get-role --role-name DefaultMCPRole >/dev/null 2>&1; then
    aws iam update-assume-role-policy --role-name DefaultMCPRole --policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/sts-idp.example.com"},"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession","sts:SetSourceIdentity"],"Condition":{"StringEquals":{"sts-idp.example.com:aud":["sts.amazonaws.com","sidecar"]}}},{"Sid":"DenyOtherAudiences","Effect":"Deny","Principal":"*","Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"StringNotEquals":{"sts-idp.example.com:aud":["sts.amazonaws.com","sidecar"]}}}]}'
    aws iam update-role --role-name DefaultMCPRole --max-session-duration 3600
  else
    aws iam create-role --path / --role-name DefaultMCPRole --max-session-duration 3600 --assume-role-policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/sts-idp.example.com"},"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession","sts:SetSourceIdentity"],"Condition":{"StringEquals":{"sts-idp.example.com:aud":["sts.amazonaws.com","sidecar"]}}},{"Sid":"DenyOtherAudiences","Effect":"Deny","Principal":"*","Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"StringNotEquals":{"sts-idp.example.com:aud":["sts.amazonaws.com","sidecar"]}}}]}'
  fi
  aws iam put-role-policy --role-name DefaultMCPRole --policy-name countersign --policy-document '{"Version":"2012-10-17","Statement":[{"Sid":"WhoAmIThroughMCP","Effect":"Allow","Action":["sts:GetCallerIdentity"],"Resource":["*"],"Condition":{"Bool":{"aws:ViaAWSMCPService":"true"}}},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"BoolIfExists":{"aws:ViaAWSMCPService":"false"}}}]}'
fi
if [ "$account $action" = '123456789012 remove' ]; then
  found=yes
  if aws iam get-role --role-name DefaultMCPRole >/dev/null 2>&1; then
    aws iam delete-role-policy --role-name DefaultMCPRole --policy-name countersign || true
    aws iam delete-role --role-name DefaultMCPRole
  fi
fi
if [ "$account $action" = '123456789012 remove-provider' ]; then
  found=yes
  aws iam delete-open-id-connect-provider --open-id-connect-provider-arn arn:aws:iam::123456789012:oidc-provider/sts-idp.example.com
fi

if [ -z "$found" ]; then
  echo "nothing to $action in account $account" >&2
  exit 1
fi
