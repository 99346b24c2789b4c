-- What tenants have used of the workers, as fair share counts it: the books of `dreamhub.domain.fair_books`.
--
-- They belong to the operator alone and hold no content: UIDs of IngestJobs, names of tenants, tokens. A charge is there
-- from a job's first slot to its end; each step below is one statement of the operator, and may come twice.

CREATE TABLE dreamhub.fair_charges (
    uid text PRIMARY KEY CHECK (uid ~ '^[-0-9a-zA-Z]{1,64}$'),
    tenant text NOT NULL CHECK (tenant ~ '^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$'),
    cost bigint NOT NULL CHECK (cost >= 0),
    settled bigint NOT NULL DEFAULT 0 CHECK (settled >= 0)
);
COMMENT ON TABLE dreamhub.fair_charges IS 'IngestJobs that had a slot and have not ended. No tenant reads or writes it.';
COMMENT ON COLUMN dreamhub.fair_charges.cost IS 'Stands for what it will use from here on; 0 while it has no slot.';
COMMENT ON COLUMN dreamhub.fair_charges.settled IS 'What was settled already, as it lost its slot before its end.';

CREATE TABLE dreamhub.fair_balances (
    tenant text PRIMARY KEY CHECK (tenant ~ '^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$'),
    consumed double precision NOT NULL CHECK (consumed >= 0),
    as_of timestamptz NOT NULL
);
COMMENT ON TABLE dreamhub.fair_balances IS 'Settled use of each tenant. No tenant reads or writes it.';
COMMENT ON COLUMN dreamhub.fair_balances.as_of IS 'The moment for which `consumed` holds; it halves with each half-life after.';

REVOKE ALL ON dreamhub.fair_charges, dreamhub.fair_balances FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON dreamhub.fair_charges, dreamhub.fair_balances TO dreamhub_operator;
