-- A tenant's login can hold the lock of its quota for as long as it keeps a transaction open. The operator serves every
-- tenant: it gives up soon on that one and comes back.

ALTER FUNCTION dreamhub.set_limits(text, jsonb) SET lock_timeout = '2s';
ALTER FUNCTION dreamhub.admit_jobs(text, text[], text[]) SET lock_timeout = '2s';
ALTER FUNCTION dreamhub.release_jobs(text, text[]) SET lock_timeout = '2s';
