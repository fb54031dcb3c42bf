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
  if aws iam get-open-id-connect-provider --open-id-connect-provider-arn 'arn:aws:iam::123456789012:oidc-provider/idp.example.com/realms/it'\''s' >/dev/null 2>&1; then
    aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn 'arn:aws:iam::123456789012:oidc-provider/idp.example.com/realms/it'\''s' --client-id countersign
  else
    aws iam create-open-id-connect-provider --url 'https://idp.example.com/realms/it'\''s' --client-id-list countersign
  fi
  if aws iam get-role --role-name DefaultMCPRole >/dev/null 2>&1; then
    aws iam update-assume-role-policy --role-name DefaultMCPRole --policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/idp.example.com/realms/it'\''s"},"Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"StringEquals":{"idp.example.com/realms/it'\''s:aud":"countersign"}}}]}'
    aws iam update-role --role-name DefaultMCPRole --max-session-duration 7200
  else
    aws iam create-role --path / --role-name DefaultMCPRole --max-session-duration 7200 --assume-role-policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/idp.example.com/realms/it'\''s"},"Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"StringEquals":{"idp.example.com/realms/it'\''s:aud":"countersign"}}}]}'
  fi
  aws iam put-role-policy --role-name DefaultMCPRole --policy-name countersign --policy-document '{"Version":"2012-10-17","Statement":[{"Sid":"WhoAmIThroughMCP","Effect":"Allow","Action":["sts:GetCallerIdentity"],"Resource":["*"],"Condition":{"Bool":{"aws:ViaAWSMCPService":"true"}}},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"BoolIfExists":{"aws:ViaAWSMCPService":"false"}}}]}'
  if aws iam get-role --role-name S3ReadOnlyMCPRole >/dev/null 2>&1; then
    aws iam update-assume-role-policy --role-name S3ReadOnlyMCPRole --policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/idp.example.com/realms/it'\''s"},"Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"StringEquals":{"idp.example.com/realms/it'\''s:aud":"countersign"}}}]}'
    aws iam update-role --role-name S3ReadOnlyMCPRole --max-session-duration 7200
  else
    aws iam create-role --path /teams/storage/ --role-name S3ReadOnlyMCPRole --max-session-duration 7200 --assume-role-policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/idp.example.com/realms/it'\''s"},"Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"StringEquals":{"idp.example.com/realms/it'\''s:aud":"countersign"}}}]}'
  fi
  aws iam put-role-policy --role-name S3ReadOnlyMCPRole --policy-name countersign --policy-document '{"Version":"2012-10-17","Statement":[{"Sid":"WhoAmIThroughMCP","Effect":"Allow","Action":["sts:GetCallerIdentity"],"Resource":["*"],"Condition":{"Bool":{"aws:ViaAWSMCPService":"true"}}},{"Action":"s3:GetObject","Condition":{"StringEquals":{"aws:CalledViaAWSMCP":"aws-mcp.amazonaws.com"}},"Effect":"Allow","Resource":"arn:aws:s3:::home/${aws:username}/*"},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"BoolIfExists":{"aws:ViaAWSMCPService":"false"}}}]}'
fi
if [ "$account $action" = '123456789012 remove' ]; then
  found=yes
  if aws iam get-role --role-name DefaultMCPRole >/dev/null 2>&1; then
    aws iam delete-role-policy --role-name DefaultMCPRole --policy-name countersign || true
    aws iam delete-role --role-name DefaultMCPRole
  fi
  if aws iam get-role --role-name S3ReadOnlyMCPRole >/dev/null 2>&1; then
    aws iam delete-role-policy --role-name S3ReadOnlyMCPRole --policy-name countersign || true
    aws iam delete-role --role-name S3ReadOnlyMCPRole
  fi
fi
if [ "$account $action" = '123456789012 remove-provider' ]; then
  found=yes
  aws iam delete-open-id-connect-provider --open-id-connect-provider-arn 'arn:aws:iam::123456789012:oidc-provider/idp.example.com/realms/it'\''s'
fi

# Account 210987654321
if [ "$account $action" = '210987654321 create' ]; then
  found=yes
  if aws iam get-open-id-connect-provider --open-id-connect-provider-arn 'arn:aws:iam::210987654321:oidc-provider/idp.example.com/realms/it'\''s' >/dev/null 2>&1; then
    aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn 'arn:aws:iam::210987654321:oidc-provider/idp.example.com/realms/it'\''s' --client-id countersign
  else
    aws iam create-open-id-connect-provider --url 'https://idp.example.com/realms/it'\''s' --client-id-list countersign
  fi
  if aws iam get-role --role-name Auditor >/dev/null 2>&1; then
    aws iam update-assume-role-policy --role-name Auditor --policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::210987654321:oidc-provider/idp.example.com/realms/it'\''s"},"Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"StringEquals":{"idp.example.com/realms/it'\''s:aud":"countersign"}}}]}'
    aws iam update-role --role-name Auditor --max-session-duration 7200
  else
    aws iam create-role --path / --role-name Auditor --max-session-duration 7200 --assume-role-policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::210987654321:oidc-provider/idp.example.com/realms/it'\''s"},"Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"StringEquals":{"idp.example.com/realms/it'\''s:aud":"countersign"}}}]}'
  fi
  aws iam put-role-policy --role-name Auditor --policy-name countersign --policy-document '{"Version":"2012-10-17","Statement":[{"Sid":"WhoAmIThroughMCP","Effect":"Allow","Action":["sts:GetCallerIdentity"],"Resource":["*"],"Condition":{"Bool":{"aws:ViaAWSMCPService":"true"}}},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"BoolIfExists":{"aws:ViaAWSMCPService":"false"}}}]}'
  aws iam attach-role-policy --role-name Auditor --policy-arn arn:aws:iam::aws:policy/SecurityAudit
fi
if [ "$account $action" = '210987654321 remove' ]; then
  found=yes
  if aws iam get-role --role-name Auditor >/dev/null 2>&1; then
    aws iam detach-role-policy --role-name Auditor --policy-arn arn:aws:iam::aws:policy/SecurityAudit || true
    aws iam delete-role-policy --role-name Auditor --policy-name countersign || true
    aws iam delete-role --role-name Auditor
  fi
fi
if [ "$account $action" = '210987654321 remove-provider' ]; then
  found=yes
  aws iam delete-open-id-connect-provider --open-id-connect-provider-arn 'arn:aws:iam::210987654321:oidc-provider/idp.example.com/realms/it'\''s'
fi

if [ -z "$found" ]; then
  echo "nothing to $action in account $account" >&2
  exit 1
fi
