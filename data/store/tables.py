"""The ledger's tables. Rows of the first group never change; the others are projections of them.

The schema itself is made by `migrations`; a test compares the two.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from data.store.columns import Instant, Json, Names

metadata = MetaData()
_UNCONTACTED = text("status = 'open' AND contacted_at IS NULL")
_WAITING = text("status IN ('pooled', 'queued')")
_LEFT = text("decision_id IS NULL AND last_decision_id IS NOT NULL")
Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only a column that says INTEGER

APPEND_ONLY = (
    "decisions",
    "outcome_events",
    "overrides",
    "endings",
    "capacity_ledger",
    "roster_versions",
    "roster_history",
    "promotions",
    "policy_versions",
    "acts",
    "erasures",
    "audit",
    "follow_ups",
)

# Who asks ---------------------------------------------------------------------------------------------------

clients = Table(
    "clients",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("created_at", Instant, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("client_id", Text, ForeignKey("clients.client_id"), nullable=False),
    Column("rep_id", Text),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
)

# What happened: rows that never change ----------------------------------------------------------------------

decisions = Table(
    "decisions",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=True),
    Column("decision_id", Text, nullable=False, unique=True),
    Column("client_id", Text, ForeignKey("clients.client_id"), nullable=False),
    Column("idempotency_key", Text),
    Column("request_digest", Text, nullable=False),
    Column("lead_id", Text, nullable=False),
    Column("customer_id", Text),
    Column("spell_id", Text, nullable=False),
    Column("duplicate_of", Text, ForeignKey("decisions.decision_id")),
    Column("mode", Text, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("lead_snapshot", Json, nullable=False),
    Column("roster_version", BigInteger, nullable=False),
    Column("policy_version", BigInteger),
    Column("model_version", Text),
    Column("model_digest", Text),
    Column("candidates", Names, nullable=False),
    Column("excluded", Json, nullable=False),
    Column("vectors", LargeBinary, nullable=False),
    Column("arm", Text, nullable=False),
    Column("holdout_share", Float(53)),
    Column("seed", BigInteger),
    Column("draw_number", Integer, nullable=False),
    Column("rep_drawn", Text),
    Column("rep_id", Text),
    Column("local_day", Text),
    Column("probability_chosen", Float(53)),
    Column("baseline", Float(53)),
    Column("uplift", Float(53)),
    Column("uplift_low", Float(53)),
    Column("uplift_high", Float(53)),
    Column("lead_score", Integer),
    Column("grade", Text),
    Column("degraded", Text),
    Column("unassigned_reason", Text),
    Column("source", Text),  # of the snapshot, for lists
    Column("basis", Json),  # what the rule book made of the lead: route, methods, exploration
    UniqueConstraint("client_id", "idempotency_key", name="one_decision_a_key"),
    Index("decisions_of_a_lead", "client_id", "lead_id", "seq"),
    Index("decisions_of_a_customer", "client_id", "customer_id", "seq"),
    Index("decisions_in_time", "decided_at"),
    # A list of any filter, newest first, reads this alone: the rows themselves are wide.
    Index("decisions_listed", "decided_at", "decision_id", "arm", "grade", "source"),
)

outcome_events = Table(
    "outcome_events",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=True),
    Column("client_id", Text, ForeignKey("clients.client_id"), nullable=False),
    Column("event_id", Text, nullable=False),
    Column("lead_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("value", Float(53)),
    Column("reason", Text),
    Column("rep_id", Text),
    Column("into_lead_id", Text),
    UniqueConstraint("client_id", "event_id", name="one_row_an_event"),
    Index("events_of_a_lead", "client_id", "lead_id"),
)

overrides = Table(
    "overrides",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=True),
    Column("decision_id", Text, ForeignKey("decisions.decision_id"), nullable=False),
    Column("rep_id", Text, nullable=False),
    Column("previous_rep_id", Text),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("forced", Boolean, nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("decision_id", "version", name="one_override_a_version"),
)

endings = Table(
    "endings",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=True),
    Column("decision_id", Text, ForeignKey("decisions.decision_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Index("endings_of_a_decision", "decision_id"),
)

follow_ups = Table(  # steps of follow-up, each once a version of the decision
    "follow_ups",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=True),
    Column("decision_id", Text, ForeignKey("decisions.decision_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("step", Text, nullable=False),
    Column("rep_id", Text),
    Column("actor", Text, nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("decision_id", "version", "step", name="one_step_a_version"),
)

capacity_ledger = Table(
    "capacity_ledger",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=True),
    # Deferred: a slot is reserved before its decision is written, and must not outlive the transaction alone.
    Column(
        "decision_id",
        Text,
        ForeignKey("decisions.decision_id", deferrable=True, initially="DEFERRED"),
        nullable=False,
    ),
    Column("rep_id", Text, nullable=False),
    Column("open_delta", Integer, nullable=False),
    Column("day_delta", Integer, nullable=False),
    Column("local_day", Text),
    Column("kind", Text, nullable=False),
    Column("over_limit", Boolean, nullable=False),
    Column("at", Instant, nullable=False),
    Index("capacity_of_a_decision", "decision_id"),
)

roster_versions = Table(
    "roster_versions",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("actor", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

roster_history = Table(
    "roster_history",
    metadata,
    Column(
        "version", BigInteger, ForeignKey("roster_versions.version"), primary_key=True, autoincrement=False
    ),
    Column("rep_id", Text, primary_key=True),
    Column("before", Json),
    Column("after", Json),
    Index("roster_history_of_a_rep", "rep_id", "version"),
)

promotions = Table(
    "promotions",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("previous", Text),
    Column("actor", Text, nullable=False),
    Column("grounds", Json, nullable=False),
    Column("at", Instant, nullable=False),
)

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

# What follows from it: rows that change, each rebuildable or erasable ---------------------------------------

heads = Table(  # one row a numbered list: whoever adds to the list holds its row until the commit
    "heads",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

reps = Table(  # the roster now; `record` is the whole rep, the columns are those that capacity compares
    "reps",
    metadata,
    Column("rep_id", Text, primary_key=True),
    Column("place", Integer, nullable=False),
    Column("listed", Boolean, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("capacity", Integer),
    Column("daily_limit", Integer),
    Column("open_count", Integer, nullable=False),
    Column("record", Json, nullable=False),
)

open_load = Table(
    "open_load",
    metadata,
    Column("rep_id", Text, primary_key=True),
    Column("used", Integer, nullable=False),
    Column("last_assigned_at", Instant),
    CheckConstraint("used >= 0", name="no_negative_open_load"),
)

daily_load = Table(
    "daily_load",
    metadata,
    Column("local_day", Text, primary_key=True),  # first: a decision reads one day of all reps
    Column("rep_id", Text, primary_key=True),
    Column("used", Integer, nullable=False),
    CheckConstraint("used >= 0", name="no_negative_daily_load"),
)

decision_states = Table(
    "decision_states",
    metadata,
    Column("decision_id", Text, ForeignKey("decisions.decision_id"), primary_key=True),
    Column("rep_id", Text),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("holds_slot", Boolean, nullable=False),
    Column("given_at", Instant),
    Column("contacted_at", Instant),
    Column("qualified_at", Instant),
    Column("closed_at", Instant),
    Column("value", Float(53)),
    Column("lost_reason", Text),
    Column("feedback", Text),
    Column("timed_out_at", Instant),
    Column("decided_at", Instant),
    Index("states_of_a_rep", "rep_id", "status"),
    Index("states_of_a_rep_in_time", "rep_id", "decided_at", "decision_id"),
    # What follow-up looks for lies in small indexes of its own.
    Index("states_not_contacted", "given_at", sqlite_where=_UNCONTACTED, postgresql_where=_UNCONTACTED),
    Index("states_that_wait", "decided_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
)

lead_states = Table(
    "lead_states",
    metadata,
    Column("client_id", Text, ForeignKey("clients.client_id"), primary_key=True),
    Column("lead_id", Text, primary_key=True),
    Column("decision_id", Text, ForeignKey("decisions.decision_id")),  # the standing one
    Column("last_decision_id", Text, ForeignKey("decisions.decision_id")),
    Column("spells", Integer, nullable=False),
    Column("has_events", Boolean, nullable=False),
    Column("merged_into", Text),
    Index("leads_without_a_rep", "client_id", "lead_id", sqlite_where=_LEFT, postgresql_where=_LEFT),
)

customer_keys = Table(  # hashed contact data: which leads are one customer; erased with the person
    "customer_keys",
    metadata,
    Column("client_id", Text, ForeignKey("clients.client_id"), primary_key=True),
    Column("customer_key", Text, primary_key=True),
    Column("lead_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Index("customers_of_a_lead", "client_id", "lead_id"),
)

answers = Table(  # the reply's bytes, for as long as a client may ask again
    "answers",
    metadata,
    Column("decision_id", Text, ForeignKey("decisions.decision_id"), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

personal_data = Table(
    "personal_data",
    metadata,
    Column("client_id", Text, ForeignKey("clients.client_id"), primary_key=True),
    Column("lead_id", Text, primary_key=True),
    Column("body", Json, nullable=False),
    Column("search", Text),  # company and name as one looks for them
    # Without the bodies it is small enough to be read as a whole: a search finds a part of a word.
    Index("personal_data_search", "search", "client_id", "lead_id"),
)

# The pages: who is signed in, and what they keep -------------------------------------------------------------

sign_in_links = Table(  # each opens one session, once
    "sign_in_links",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("key_id", Text, ForeignKey("api_keys.key_id"), nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
)

sessions = Table(  # a session opens what its key opens, for as long as the key is live
    "sessions",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("key_id", Text, ForeignKey("api_keys.key_id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

saved_views = Table(
    "saved_views",
    metadata,
    Column("page", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("query", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

decision_facts = Table(  # what reports count: one narrow row a decision that is no duplicate
    "decision_facts",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("mode", Text, nullable=False),
    Column("arm", Text, nullable=False),
    Column("policy_version", BigInteger, nullable=False),
    Column("source", Text),
    Column("grade", Text),
    Column("lead_score", Integer),
    Column("baseline", Float(53)),
    Column("eligible_team", Text),
    Column("unassigned", Boolean, nullable=False),
    Column("rep_drawn", Text),
    Column("probability", Float(53)),
    Column("uplift", Float(53)),
    Column("first_draw", Boolean, nullable=False),
    Column("share", Float(53)),
    Column("propensity", Float(53)),
    Column("propensity_policy", Float(53)),
    Column("propensity_control", Float(53)),
    Column("expected_policy", Float(53)),
    Column("expected_control", Float(53)),
    Column("order_gap", Float(53)),
    Column("order_variance", Float(53)),
    Column("rep_id", Text),
    Column("status", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("given_at", Instant),
    Column("contacted_at", Instant),
    Column("qualified_at", Instant),
    Column("closed_at", Instant),
    Column("value", Float(53)),
    Column("lost_reason", Text),
    Column("lead_won_at", Instant),
    Column("lead_qualified_at", Instant),
    Column("lead_value", Float(53)),
    Index("facts_by_revision", "revision", "seq"),
)

fact_marks = Table(  # how far the facts have followed the rows; "revision" is the number of their newest change
    "fact_marks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

chance_sums = Table(  # what each rep could expect of a day's draws, by source
    "chance_sums",
    metadata,
    Column("day", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("rep_ids", Names, nullable=False),
    Column("sums", LargeBinary, nullable=False),  # packed, in the order of the ids
)

# What others are told ----------------------------------------------------------------------------------------

endpoints = Table(  # whom to tell; where a secret lies, never the secret
    "endpoints",
    metadata,
    Column("endpoint_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("topics", Text, nullable=False),  # ",assigned,overridden,": found by LIKE, with commas around each
    Column("client_id", Text, ForeignKey("clients.client_id")),  # None: whatever is told of anybody's leads
    Column("secret_from", Text, nullable=False),
    Column("private_allowed", Boolean, nullable=False),
    Column("options", Json, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("why_not", Text),
    Column("actor", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

outbox = Table(  # one row a message and endpoint, written in the transaction of what it tells
    "outbox",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=True),
    Column("message_id", Text, nullable=False),
    Column("endpoint_id", Text, ForeignKey("endpoints.endpoint_id"), nullable=False),
    Column("topic", Text, nullable=False),
    Column("subject", Text, nullable=False),  # messages of one subject are sent one after the other
    Column("client_id", Text),
    Column("lead_id", Text),
    Column("body", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Instant, nullable=False),
    Column("lease", Text),
    Column("leased_until", Instant),
    Column("last_error", Text),
    Column("settled_at", Instant),
    UniqueConstraint("endpoint_id", "message_id", name="one_message_an_endpoint"),
    Index("outbox_due", "state", "endpoint_id", "next_at"),
    Index("outbox_of_a_subject", "endpoint_id", "subject", "state", "seq"),
    Index("outbox_of_a_lead", "client_id", "lead_id"),
)

sources = Table(  # who may tell us something by a signature instead of a key
    "sources",
    metadata,
    Column("source_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("client_id", Text, ForeignKey("clients.client_id"), nullable=False),
    Column("secrets_from", Json, nullable=False),
    Column("options", Json, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

# Who did what, and what vouches for it -----------------------------------------------------------------------

acts = Table(  # what is done to keys, endpoints and persons; other changes have lists of their own
    "acts",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("detail", Json, nullable=False),
)

erasures = Table(  # of these leads a row may be blanked in what can name a person, and in nothing else
    "erasures",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=True),
    Column("client_id", Text, ForeignKey("clients.client_id"), nullable=False),
    Column("lead_id", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("client_id", "lead_id", name="one_erasure_a_lead"),
)

audit = Table(  # the chain: each row hashes one row of another table, and the row of the chain before
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("of_table", Text, nullable=False),
    Column("of_row", BigInteger, nullable=False),
    Column("content", Text, nullable=False),
    Column("erasable", Text),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    UniqueConstraint("of_table", "of_row", name="sealed_once"),
)

audit_salts = Table(  # without its salt, the hash of what was erased says nothing
    "audit_salts",
    metadata,
    Column("number", BigInteger, ForeignKey("audit.number"), primary_key=True, autoincrement=False),
    Column("salt", Text, nullable=False),
)
