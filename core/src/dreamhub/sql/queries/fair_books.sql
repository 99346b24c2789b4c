-- What tenants have used of the workers. The operator's own tables; see `dreamhub.domain.fair_books` for the rules.

-- name: fetch_charges
SELECT uid, tenant, cost, settled FROM dreamhub.fair_charges

-- name: fetch_balances
SELECT tenant, consumed, extract(epoch FROM as_of)::float8 AS as_of FROM dreamhub.fair_balances

-- name: charge
INSERT INTO dreamhub.fair_charges AS c (uid, tenant, cost) VALUES ($1, $2, greatest($3, 1))
ON CONFLICT (uid) DO UPDATE SET cost = greatest(excluded.cost - c.settled, 1) WHERE c.cost = 0

-- name: pause
WITH known AS (
    SELECT uid, tenant, settled FROM dreamhub.fair_charges WHERE uid = $1 AND cost > 0 FOR UPDATE
), paused AS (
    UPDATE dreamhub.fair_charges c SET cost = 0, settled = greatest(k.settled, $2)
    FROM known k WHERE c.uid = k.uid AND greatest(k.settled, $2) > 0
), dropped AS (
    DELETE FROM dreamhub.fair_charges c USING known k WHERE c.uid = k.uid AND greatest(k.settled, $2) = 0
)
INSERT INTO dreamhub.fair_balances AS b (tenant, consumed, as_of)
SELECT tenant, $2 - settled, to_timestamp($3) FROM known WHERE $2 > settled
ON CONFLICT (tenant) DO UPDATE SET
    consumed = excluded.consumed + b.consumed
        * 0.5 ^ least(greatest(extract(epoch FROM excluded.as_of - b.as_of)::float8, 0) / $4::float8, 60),
    as_of = greatest(b.as_of, excluded.as_of)

-- name: settle
WITH gone AS (
    DELETE FROM dreamhub.fair_charges WHERE uid = $1 RETURNING tenant, coalesce($2 - settled, cost) AS rest
)
INSERT INTO dreamhub.fair_balances AS b (tenant, consumed, as_of)
SELECT tenant, rest, to_timestamp($3) FROM gone WHERE rest > 0
ON CONFLICT (tenant) DO UPDATE SET
    consumed = excluded.consumed + b.consumed
        * 0.5 ^ least(greatest(extract(epoch FROM excluded.as_of - b.as_of)::float8, 0) / $4::float8, 60),
    as_of = greatest(b.as_of, excluded.as_of)

-- name: forget_balances
DELETE FROM dreamhub.fair_balances WHERE tenant <> ALL ($1::text[])
