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
  url            = "https://idp.example.com/realms/it's"
  client_id_list = ["countersign"]
}

resource "aws_iam_role" "countersign_123456789012_1" {
  count                = data.aws_caller_identity.current.account_id == "123456789012" ? 1 : 0
  name                 = "DefaultMCPRole"
  path                 = "/"
  max_session_duration = 7200
  assume_role_policy   = <<-JSON
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Effect": "Allow",
          "Principal": {
            "Federated": "arn:aws:iam::123456789012:oidc-provider/idp.example.com/realms/it's"
          },
          "Action": [
            "sts:AssumeRoleWithWebIdentity"
          ],
          "Condition": {
            "StringEquals": {
              "idp.example.com/realms/it's:aud": "countersign"
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

resource "aws_iam_role" "countersign_123456789012_2" {
  count                = data.aws_caller_identity.current.account_id == "123456789012" ? 1 : 0
  name                 = "S3ReadOnlyMCPRole"
  path                 = "/teams/storage/"
  max_session_duration = 7200
  assume_role_policy   = <<-JSON
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Effect": "Allow",
          "Principal": {
            "Federated": "arn:aws:iam::123456789012:oidc-provider/idp.example.com/realms/it's"
          },
          "Action": [
            "sts:AssumeRoleWithWebIdentity"
          ],
          "Condition": {
            "StringEquals": {
              "idp.example.com/realms/it's:aud": "countersign"
            }
          }
        }
      ]
    }
  JSON
}

resource "aws_iam_role_policy" "countersign_123456789012_2" {
  count  = data.aws_caller_identity.current.account_id == "123456789012" ? 1 : 0
  name   = "countersign"
  role   = aws_iam_role.countersign_123456789012_2[0].id
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
          "Action": "s3:GetObject",
          "Condition": {
            "StringEquals": {
              "aws:CalledViaAWSMCP": "aws-mcp.amazonaws.com"
            }
          },
          "Effect": "Allow",
          "Resource": "arn:aws:s3:::home/$${aws:username}/*"
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

resource "aws_iam_openid_connect_provider" "countersign_210987654321" {
  count          = var.create_provider && data.aws_caller_identity.current.account_id == "210987654321" ? 1 : 0
  url            = "https://idp.example.com/realms/it's"
  client_id_list = ["countersign"]
}

resource "aws_iam_role" "countersign_210987654321_1" {
  count                = data.aws_caller_identity.current.account_id == "210987654321" ? 1 : 0
  name                 = "Auditor"
  path                 = "/"
  max_session_duration = 7200
  assume_role_policy   = <<-JSON
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Effect": "Allow",
          "Principal": {
            "Federated": "arn:aws:iam::210987654321:oidc-provider/idp.example.com/realms/it's"
          },
          "Action": [
            "sts:AssumeRoleWithWebIdentity"
          ],
          "Condition": {
            "StringEquals": {
              "idp.example.com/realms/it's:aud": "countersign"
            }
          }
        }
      ]
    }
  JSON
}

resource "aws_iam_role_policy" "countersign_210987654321_1" {
  count  = data.aws_caller_identity.current.account_id == "210987654321" ? 1 : 0
  name   = "countersign"
  role   = aws_iam_role.countersign_210987654321_1[0].id
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

resource "aws_iam_role_policy_attachment" "countersign_210987654321_1_1" {
  count      = data.aws_caller_identity.current.account_id == "210987654321" ? 1 : 0
  role       = aws_iam_role.countersign_210987654321_1[0].name
  policy_arn = "arn:aws:iam::aws:policy/SecurityAudit"
}
