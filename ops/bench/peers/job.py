# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""The job that both peers do, so that they differ in nothing but the queue.

Each statement is a transaction of its own: a call costs two commits, the attempt's before the call and the outcome's after
it, and a claim costs one for all its contacts.
"""
from uuid import UUID

BATCH = 500

CLAIM = """
    with due as materialized (
        select id
        from contacts
        where campaign_id = %s and state in ('pending', 'not_reached') and next_attempt_at <= now()
        order by next_attempt_at
        limit %s
        for no key update skip locked)
    update contacts
    set state = 'in_progress', prior_state = state, call_id = uuid_v7(), lease_until = now() + interval '5 minutes'
    where id = any (array(select id from due))
    returning call_id, id
"""

# Tells the number to call if the claim still holds and the contact was not called under it; a repeated message finds none.
BEGIN_ATTEMPT = """
    with begun as (
        update contacts
        set attempts_count = attempts_count + 1, last_attempt_at = now(), prior_state = null
        where id = %s and call_id = %s and prior_state is not null
        returning id, campaign_id, call_id, phone_number, attempts_count)
    insert into call_attempts (call_id, contact_id, campaign_id, attempt_number, phone_number, deadline_at)
    select call_id, id, campaign_id, attempts_count, phone_number, now() + interval '12 minutes'
    from begun
    returning phone_number
"""

END_ATTEMPT = """
    with ended as (
        update call_attempts
        set status = 'ended', ended_at = now(), provider_call_id = %s, outcome = %s
        where call_id = %s and ended_at is null
        returning contact_id, call_id, outcome)
    update contacts c
    set state = ended.outcome, last_outcome = ended.outcome, next_attempt_at = null, call_id = null, lease_until = null
    from ended
    where c.id = ended.contact_id and c.call_id = ended.call_id
"""


def place_call(call_id: UUID, phone_number: str) -> tuple[str, str]:
    """Stands for the provider, and answers at once: its id of the call, and how the call ended."""
    return f"CA{call_id.hex}", "completed"
