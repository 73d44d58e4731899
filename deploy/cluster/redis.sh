#!/bin/sh
# Starts one of the cluster's Redis servers. /data/node.conf keeps its part, primary or replica: Sentinel changes it when
# it makes another server the primary, and Redis then writes it down.
set -eu
until [ -s /run/warren/redis/users.acl ]; do sleep 0.2; done
if [ ! -s /data/node.conf ]; then
    echo "include /etc/warren/redis.conf" >/data/node.conf
    [ -z "${REPLICA_OF-}" ] || echo "replicaof $REPLICA_OF 6379" >>/data/node.conf
fi
# By standard input, so that no password is on the command line.
exec "$(command -v redis-server || command -v valkey-server)" /data/node.conf \
    --aclfile /run/warren/redis/users.acl --maxmemory "$MAXMEMORY" - </run/warren/redis/replication.conf
