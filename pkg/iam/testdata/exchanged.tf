# What AWS IAM must hold for a Countersign auth-config.
terraform {
  required_providers {
    # Older releases want the thumbprints of OIDC providers.
    aws = { source = "hashicorp/aws", version = ">= 5.81" }
  }
}

variable "create_provider" {
  description = "false where the account has this OIDC provider already"
  type        = bool
  default     = true
}

data "aws_caller_identity" "current" {}

resource "aws_iam_openid_connect_provider" "countersign_123456789012" {
  count          = var.create_provider && data.aws_caller_identity.current.account_id == "123456789012" ? 1 : 0
  url            = "https://sts-idp.example.com"
  client_id_list = ["sts.amazonaws.com", "sidecar"]
}

resource "aws_iam_role" "countersign_123456789012_1" {
  count                = data.aws_caller_identity.current.account_id == "123456789012" ? 1 : 0
  name                 = "DefaultMCPRole"
  path                 = "/"
  max_session_duration = 3600
  assume_role_policy   = <<-JSON
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Effect": "Allow",
          "Principal": {
            "Federated": "arn:aws:iam::123456789012:oidc-provider/sts-idp.example.com"
          },
          "Action": [
            "sts:AssumeRoleWithWebIdentity",
            "sts:TagSession",
            "sts:SetSourceIdentity"
          ],
          "Condition": {
            "StringEquals": {
              "sts-idp.example.com:aud": [
                "sts.amazonaws.com",
                "sidecar"
              ]
            }
          }
        },
        {
          "Sid": "DenyOtherAudiences",
          "Effect": "Deny",
          "Principal": "*",
          "Action": [
            "sts:AssumeRoleWithWebIdentity"
          ],
          "Condition": {
            "StringNotEquals": {
              "sts-idp.example.com:aud": [
                "sts.amazonaws.com",
                "sidecar"
              ]
            }
          }
        }
      ]
    }
  JSON
}

resource "aws_iam_role_policy" "countersign_123456789012_1" {
  count  = data.aws_caller_identity.current.account_id == "123456789012" ? 1 : 0
  name   = "countersign"
  role   = aws_iam_role.countersign_123456789012_1[0].id
  policy = <<-JSON
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "WhoAmIThroughMCP",
          "Effect": "Allow",
          "Action": [
            "sts:GetCallerIdentity"
          ],
          "Resource": [
            "*"
          ],
          "Condition": {
            "Bool": {
              "aws:ViaAWSMCPService": "true"
            }
          }
        },
        {
          "Effect": "Deny",
          "Action": "*",
          "Resource": "*",
          "Condition": {
            "BoolIfExists": {
              "aws:ViaAWSMCPService": "false"
            }
          }
        }
      ]
    }
  JSON
}
