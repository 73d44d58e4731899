"""Prints every fact of a chain as it happens: transactions that enter or leave the pool, blocks that come and go."""

import json
import os
import uuid

import pika

url = pika.URLParameters(os.environ["AMQP_URL"])
queue = f"{url.credentials.username}.{uuid.uuid4().hex}"  # the only names that this user may give its queues
channel = pika.BlockingConnection(url).channel()
channel.queue_declare(queue, exclusive=True, auto_delete=True)
for topic in ("tx.accepted", "tx.removed", "block.connected", "block.disconnected"):
    channel.queue_bind(queue, "warren.events", topic)
print(f"listening on {queue}", flush=True)
for _, properties, body in channel.consume(queue, auto_ack=True):
    fact = json.loads(body)  # fields that this program does not know may come one day
    about = fact.get("txid") or f"{fact['hash']} at height {fact['height']}"
    print(fact["seq"], properties.type, about, properties.headers["traceparent"], flush=True)
