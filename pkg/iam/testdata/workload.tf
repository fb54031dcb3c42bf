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
  url            = "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "countersign_123456789012_1" {
  count                = data.aws_caller_identity.current.account_id == "123456789012" ? 1 : 0
  name                 = "Report"
  path                 = "/"
  max_session_duration = 3600
  assume_role_policy   = <<-JSON
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Effect": "Allow",
          "Principal": {
            "Federated": "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC"
          },
          "Action": [
            "sts:AssumeRoleWithWebIdentity"
          ],
          "Condition": {
            "StringEquals": {
              "oidc.eks.eu-west-1.amazonaws.com/id/ABC:aud": "sts.amazonaws.com"
            },
            "StringLike": {
              "oidc.eks.eu-west-1.amazonaws.com/id/ABC:sub": "system:serviceaccount:reports:*"
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
          "Effect": "Allow",
          "Action": [
            "bedrock-agentcore:InvokeGateway"
          ],
          "Resource": [
            "arn:aws:bedrock-agentcore:eu-west-1:123456789012:gateway/tools-abc"
          ]
        },
        {
          "Effect": "Allow",
          "Action": [
            "bedrock-agentcore:InvokeAgentRuntime"
          ],
          "Resource": [
            "arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/report-x",
            "arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/report-x/*"
          ]
        }
      ]
    }
  JSON
}
