#!/bin/sh
# Starts a Sentinel. /data/sentinel.conf is its memory: it writes there who is the primary, and which servers it knows.
set -eu
if [ ! -s /data/sentinel.conf ]; then
    umask 077
    cat - /run/warren/sentinel/logins.conf >/data/new.conf <<CONF
port 26379
dir /data
aclfile /run/warren/sentinel/users.acl
protected-mode no
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $HOSTNAME.sentinel
sentinel monitor primary redis-0.redis 6379 2
sentinel down-after-milliseconds primary 2000
sentinel failover-timeout primary 10000
sentinel parallel-syncs primary 1
CONF
    mv /data/new.conf /data/sentinel.conf
fi
exec "$(command -v redis-server || command -v valkey-server)" /data/sentinel.conf --sentinel
