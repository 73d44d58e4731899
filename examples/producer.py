"""Submits a signed transaction and prints the node's verdict: `python producer.py RAW_TRANSACTION_IN_HEX`."""

import json
import os
import sys
import uuid

import pika

url = pika.URLParameters(os.environ["AMQP_URL"])
queue = f"{url.credentials.username}.{uuid.uuid4().hex}"
channel = pika.BlockingConnection(url).channel()
channel.confirm_delivery()
channel.queue_declare(queue, exclusive=True, auto_delete=True)
channel.queue_bind(queue, "warren.replies", queue)
request = {"type": "tx.submitted", "content_type": "application/json", "message_id": uuid.uuid4().hex}
request |= {"reply_to": queue, "correlation_id": "1", "delivery_mode": 2}
body = json.dumps({"txs": [sys.argv[1]]})
channel.basic_publish("from.guests", "tx.submitted", body, pika.BasicProperties(**request), mandatory=True)
_, _, reply = next(channel.consume(queue, auto_ack=True, inactivity_timeout=30))
verdict = json.loads(reply)["verdicts"][0] if reply else sys.exit("no answer in 30 s: the node may still take it")
print(verdict["txid"], "accepted" if verdict["accepted"] else f"refused: {verdict['reason']}")
