#!/usr/bin/env bash
# The benchmark's job with the `aws` CLI: the regions side by side, tags and stops of a region in one call each.
# The address comes from AWS_ENDPOINT_URL. Arguments: the leaked key.
set -euo pipefail
leaked_key=$1

user=$(aws iam get-access-key-last-used --access-key-id "$leaked_key" --query UserName --output text)
aws iam update-access-key --user-name "$user" --access-key-id "$leaked_key" --status Inactive

contain() {
  local machines machine
  machines=$(aws ec2 describe-instances --region "$1" --filters Name=instance-state-name,Values=pending,running \
    --query 'Reservations[].Instances[].InstanceId' --output text)
  [ -n "$machines" ] || return 0
  # shellcheck disable=SC2086  # ids are separate words
  aws ec2 create-tags --region "$1" --resources $machines --tags Key=case,Value=bench
  for machine in $machines; do
    aws ec2 create-snapshots --region "$1" --instance-specification "InstanceId=$machine" \
      --tag-specifications 'ResourceType=snapshot,Tags=[{Key=case,Value=bench}]' --output text > /dev/null
  done
  # shellcheck disable=SC2086
  aws ec2 stop-instances --region "$1" --instance-ids $machines --output text > /dev/null
}

pids=()
for region in $(aws ec2 describe-regions --query 'Regions[].RegionName' --output text); do
  contain "$region" &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
