#!/usr/bin/env bash
# Starts a broker in a container of the image apache/kafka.
#
# By itself the image formats a new disk without any user, and brokers that prove themselves to each other by
# SCRAM could then never meet. So a new disk is formatted here, with the super user of the secrets volume; the
# image's own start finds it formatted and goes on.
set -o errexit -o nounset -o pipefail

if [[ ! -e "$KAFKA_LOG_DIRS/meta.properties" ]]; then
  settings=$(mktemp)
  cat /mnt/shared/config/server.properties > "$settings"
  # As the image does: KAFKA_A_B is a.b, two underscores stand for one, three for a dash.
  env | while IFS= read -r variable; do
    [[ $variable == KAFKA_*=* ]] || continue
    name=${variable%%=*} value=${variable#*=}
    name=${name#KAFKA_} name=${name,,}
    name=${name//___/-} name=${name//__/:} name=${name//_/.} name=${name//:/_}
    printf '%s=%s\n' "$name" "$value"
  done >> "$settings"
  /opt/kafka/bin/kafka-storage.sh format --cluster-id "$CLUSTER_ID" --config "$settings" \
    @/etc/kafka/secrets/format.arguments
  rm "$settings"
fi
exec /etc/kafka/docker/run
