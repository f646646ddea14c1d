"""What the ledger knows of a lead before it is considered: who had it, and whose customer it is."""

from datetime import datetime, timedelta

from data.customers import customer_keys
from data.store import customers, spells
from data.store.ledger import Connection
from serving.deciding.cases import Ask, Background
from serving.policy.sections import RuleBook

MOST_TOLD = 3  # other leads of the customer that an answer names


def background_of(conn: Connection, ask: Ask, rules: RuleBook, *, at: datetime, seen: bool) -> Background:
    """The lead's former owners as far as they must wait, its customer's keys, and the customer's rep.

    seen : whether the ledger knows the lead; a new one has no former owners.
    """
    cooling = timedelta(days=rules.follow_up.cooling_off_days)
    had_it = spells.taken_from(conn, ask.client_id, ask.lead_id, since=at - cooling) if seen else ()
    asked = rules.duplicates
    keys = customer_keys(ask.client_id, ask.lead, asked.same, country=asked.country)
    since = at - timedelta(days=asked.days)
    known = customers.same(conn, ask.client_id, ask.lead_id, list(keys), since=since)
    owners = list(dict.fromkeys(lead.rep_id for lead in known if lead.rep_id is not None))
    said = [f"same customer as lead {lead.lead_id} ({lead.kind}), with {lead.rep_id}" for lead in known[:MOST_TOLD]]
    if len(owners) > 1:
        said.append(f"this customer is with several reps: {', '.join(owners[:MOST_TOLD])}; see /v1/duplicates")
    return Background(
        had_it=had_it,
        owner=owners[0] if owners and asked.sticky else None,
        same_customer=tuple(said),
        keys=keys,
    )
