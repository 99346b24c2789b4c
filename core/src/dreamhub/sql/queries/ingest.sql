-- name: open_run
INSERT INTO ingest_runs (uid, job, holder, worker_build, progress) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (uid, tenant_id) DO UPDATE
SET attempt = ingest_runs.attempt + ($6 = 0)::integer, holder = excluded.holder, worker_build = excluded.worker_build,
    updated_at = now()
RETURNING total, collected_at IS NOT NULL AS collected, finished_at IS NOT NULL AS finished

-- name: open_worker
INSERT INTO run_workers (uid, worker, holder) VALUES ($1, $2, $3)
ON CONFLICT (uid, worker, tenant_id) DO UPDATE
SET attempt = run_workers.attempt + 1, holder = excluded.holder, updated_at = now()
RETURNING attempt, report

-- name: add_to_run
UPDATE ingest_runs SET total = total + $2, weight = weight + $3 WHERE uid = $1

-- name: lock_run
SELECT total FROM ingest_runs WHERE uid = $1 AND finished_at IS NULL FOR NO KEY UPDATE

-- name: is_current
-- Asked with the run's row locked, which a later attempt has to write before it begins.
SELECT EXISTS (SELECT FROM run_workers WHERE uid = $1 AND worker = $2 AND attempt = $3)

-- name: mark_collected
UPDATE ingest_runs SET collected_at = coalesce(collected_at, now()) WHERE uid = $1

-- name: is_read_by_others
SELECT EXISTS (
    SELECT FROM run_workers
    WHERE uid = $1 AND worker <> $2 AND (report -> 'reading')::boolean
        AND updated_at > now() - make_interval(secs => $3)
)

-- name: end_lost_readers
-- They may come back: what they still have in hand was read before, and is written no more.
UPDATE run_workers SET attempt = attempt + 1, report = report - 'reading'
WHERE uid = $1 AND worker <> $2 AND (report -> 'reading')::boolean
RETURNING worker

-- name: begin_reading
UPDATE run_workers SET report = report || '{"reading": true}', updated_at = now() WHERE uid = $1 AND worker = $2

-- name: lock_worker
SELECT attempt FROM run_workers WHERE uid = $1 AND worker = $2 AND attempt = $3 FOR SHARE

-- name: save_report
UPDATE run_workers SET report = $4, updated_at = now()
WHERE uid = $1 AND worker = $2 AND attempt = $3
RETURNING attempt

-- name: touch_worker
UPDATE run_workers SET updated_at = now()
WHERE uid = $1 AND worker = $2 AND attempt = $3
RETURNING attempt

-- name: lock_for_summary
-- One worker a second sums up; the others pass by.
SELECT progress, total, weight, collected_at IS NOT NULL AS collected FROM ingest_runs
WHERE uid = $1 AND finished_at IS NULL
    AND (reported_at IS NULL OR reported_at <= clock_timestamp() - make_interval(secs => $2))
FOR NO KEY UPDATE SKIP LOCKED

-- name: lock_for_finish
SELECT progress, total, weight, collected_at IS NOT NULL AS collected, finished_at IS NOT NULL AS finished
FROM ingest_runs
WHERE uid = $1
FOR NO KEY UPDATE

-- name: fetch_workers
SELECT worker, done, skipped, failed, unread, deleted, chunks, pages, weight, report,
    updated_at > now() - make_interval(secs => $2) AS alive
FROM run_workers
WHERE uid = $1
ORDER BY worker

-- name: save_progress
UPDATE ingest_runs
SET progress = $2, updated_at = now(), reported_at = clock_timestamp(), finished_at = CASE WHEN $3 THEN now() END
WHERE uid = $1

-- name: fetch_open_count
-- None open is known from the counters without looking at the items; it is looked at before a run ends.
SELECT r.total - coalesce(sum(w.done + w.failed), 0)::bigint AS open, r.collected_at IS NOT NULL AS collected,
    r.finished_at IS NOT NULL AS finished
FROM ingest_runs r
LEFT JOIN run_workers w ON w.uid = r.uid
WHERE r.uid = $1
GROUP BY r.total, r.collected_at, r.finished_at

-- name: count_refill
UPDATE ingest_runs SET refills = refills + 1 WHERE uid = $1

-- name: fetch_finished_documents
SELECT document_id, version_id, outcome, chunks, pages, tokens, error_class, error_reason, error_message
FROM ingest_run_documents
WHERE uid = $1
ORDER BY document_id
