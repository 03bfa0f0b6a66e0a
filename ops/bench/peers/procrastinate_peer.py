# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""The job with Procrastinate, whose queue is PostgreSQL, and psycopg: `setup` (its schema), `claimer`, `worker` and `clean`.

The claimer reads ids of campaigns from standard input and claims each until nothing is due.
"""

import asyncio
import os
import sys
from uuid import UUID

import psycopg
from procrastinate import App, PsycopgConnector

from job import BATCH, BEGIN_ATTEMPT, CLAIM, END_ATTEMPT, place_call

CONCURRENCY = 10


async def set_autocommit(connection: psycopg.AsyncConnection) -> None:
    """Each statement a transaction of its own."""
    await connection.set_autocommit(True)


connector = PsycopgConnector(
    conninfo=os.environ["PEER_DATABASE_URL"],
    min_size=CONCURRENCY + 1,
    max_size=CONCURRENCY + 1,
    configure=set_autocommit,
)
app = App(connector=connector)


@app.task(name="call")
async def call(contact_id: str, call_id: str) -> None:
    """One call from its attempt to its outcome."""
    async with connector.pool.connection() as connection:
        row = await (await connection.execute(BEGIN_ATTEMPT, (contact_id, call_id))).fetchone()
        if row is None:
            return
        provider_call_id, outcome = place_call(UUID(call_id), row[0])
        await connection.execute(END_ATTEMPT, (provider_call_id, outcome, call_id))


async def claim() -> None:
    """Claims and defers in one transaction, which this peer can and a broker cannot."""
    async with app.open_async(), connector.pool.connection() as connection:
        deferrer = call.configure(connection=connection)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            while True:
                async with connection.transaction():
                    contacts = await (await connection.execute(CLAIM, (line.strip(), BATCH))).fetchall()
                    if not contacts:
                        break
                    await deferrer.batch_defer_async(
                        *({"contact_id": str(contact_id), "call_id": str(call_id)} for call_id, contact_id in contacts))


async def work() -> None:
    """Works until it is told to stop."""
    async with app.open_async():
        await app.run_worker_async(concurrency=CONCURRENCY, delete_jobs="successful")


async def set_up() -> None:
    """Makes Procrastinate's tables."""
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def clean() -> None:
    """Nothing is left outside the database."""


if __name__ == "__main__":
    asyncio.run({"setup": set_up, "claimer": claim, "worker": work, "clean": clean}[sys.argv[1]]())
