#!/bin/sh
# Starts a Redis. /data/node.conf keeps its part, primary or replica: Sentinel changes it when it makes another server the
# primary, and Redis then writes it down. Servers know each other by name, because pods change their addresses.
set -eu
if [ ! -s /data/node.conf ]; then
    {
        echo "include /etc/warren/redis.conf"
        echo "replica-announce-ip $HOSTNAME.redis"
        [ "$HOSTNAME" = redis-0 ] || echo "replicaof redis-0.redis 6379"
    } >/data/node.conf
fi
# By standard input, so that no password is on the command line.
exec "$(command -v redis-server || command -v valkey-server)" /data/node.conf \
    --aclfile /run/warren/redis/users.acl --maxmemory "$MAXMEMORY" - </run/warren/redis/replication.conf
