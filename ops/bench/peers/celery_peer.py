# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""The job with Celery, RabbitMQ and psycopg: `setup` (nothing), `claimer`, `worker` and `clean` (deletes the queue).

The claimer reads ids of campaigns from standard input and claims each until nothing is due.
"""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
from celery import Celery
from celery.signals import worker_process_init

from job import BATCH, BEGIN_ATTEMPT, CLAIM, END_ATTEMPT, place_call

# A publisher waits for the confirm of each message; eight at once hide most of that.
PUBLISHERS = 8

app = Celery("peer", broker=os.environ["PEER_AMQP_URL"])
app.conf.update(
    task_default_queue=os.environ["PEER_QUEUE"],
    # As ours; messages are persistent in either kind.
    task_default_queue_type="quorum",
    broker_native_delayed_delivery_queue_type="classic",
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    worker_pool="prefork",
    worker_concurrency=8,
    worker_prefetch_multiplier=64,
    worker_send_task_events=False,
    worker_enable_remote_control=False,
    worker_disable_rate_limits=True,
)
local = threading.local()


def connect() -> psycopg.Connection:
    """Connects with statements prepared at their first use, and each a transaction of its own."""
    return psycopg.connect(os.environ["PEER_DATABASE_URL"], autocommit=True, prepare_threshold=0)


@worker_process_init.connect
def connect_worker(**_: object) -> None:
    """One connection for each process of the pool."""
    local.connection = connect()


@app.task(name="call")
def call(contact_id: str, call_id: str) -> None:
    """One call from its attempt to its outcome."""
    row = local.connection.execute(BEGIN_ATTEMPT, (contact_id, call_id)).fetchone()
    if row is None:
        return
    provider_call_id, outcome = place_call(UUID(call_id), row[0])
    local.connection.execute(END_ATTEMPT, (provider_call_id, outcome, call_id))


def publish(contacts: list[tuple[UUID, UUID]]) -> None:
    """Publishes one task for each, over this thread's own connection."""
    if not hasattr(local, "producer"):
        local.producer = app.amqp.Producer(app.connection_for_write())
    for call_id, contact_id in contacts:
        call.apply_async((str(contact_id), str(call_id)), producer=local.producer)


def claim() -> None:
    """Claims and publishes."""
    connection = connect()
    with ThreadPoolExecutor(PUBLISHERS) as publishers:
        for line in sys.stdin:
            while contacts := connection.execute(CLAIM, (line.strip(), BATCH)).fetchall():
                list(publishers.map(publish, [contacts[n::PUBLISHERS] for n in range(PUBLISHERS)]))


def clean() -> None:
    """Deletes the queue."""
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(os.environ["PEER_QUEUE"])


if __name__ == "__main__":
    match sys.argv[1]:
        case "claimer":
            claim()
        case "worker":
            app.worker_main([
                "worker", "--loglevel=WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat", "-O", "fair"])
        case "clean":
            clean()
