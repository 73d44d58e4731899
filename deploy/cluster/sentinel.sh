#!/bin/sh
# Starts a Sentinel. /data/sentinel.conf is its memory: it writes there who is the primary, and which servers it knows.
set -eu
until [ -s /run/warren/sentinel/logins.conf ]; do sleep 0.2; done
if [ ! -s /data/sentinel.conf ]; then
    umask 077
    cat - /run/warren/sentinel/logins.conf >/data/new.conf <<CONF
port 26379
dir /data
aclfile /run/warren/sentinel/users.acl
protected-mode no
sentinel monitor primary $PRIMARY 6379 2
sentinel down-after-milliseconds primary 2000
sentinel failover-timeout primary 10000
sentinel parallel-syncs primary 1
CONF
    mv /data/new.conf /data/sentinel.conf
fi
exec "$(command -v redis-server || command -v valkey-server)" /data/sentinel.conf --sentinel
