-- Limits, usage, ledger and queue, as the tenant. What counts and refuses is in the database's own triggers.

-- name: fetch_own_usage
SELECT to_jsonb(q) AS quota, (now() AT TIME ZONE 'UTC')::date AS today FROM quota q

-- name: fetch_token_totals
SELECT
    model, purpose,
    coalesce(sum(tokens) FILTER (WHERE day = (now() AT TIME ZONE 'UTC')::date), 0)::bigint AS today,
    sum(tokens)::bigint AS month
FROM token_uses
WHERE day >= date_trunc('month', now() AT TIME ZONE 'UTC')::date
GROUP BY model, purpose
ORDER BY month DESC, model, purpose

-- name: use_tokens
INSERT INTO token_uses (id, model, purpose, tokens, job, reserved, prompt) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: use_tokens_lazily
-- The commit does not wait for the disk: a crash of the server may lose the last half second, entry and count alike.
INSERT INTO token_uses (id, model, purpose, tokens, job, reserved, prompt)
SELECT $1, $2, $3, $4, $5, $6, $7 FROM (SELECT set_config('synchronous_commit', 'off', true)) AS lazily

-- name: settle_tokens
-- Model, purpose, prompt, job and day become the reservation's.
INSERT INTO token_uses (settles, tokens, model, purpose) VALUES ($1, $2, '-', 'ingest')

-- name: reserve_place
INSERT INTO job_admissions (name) VALUES ($1) ON CONFLICT (name, tenant_id) DO NOTHING RETURNING name

-- name: give_up_place
DELETE FROM job_admissions WHERE name = $1 AND uid IS NULL
