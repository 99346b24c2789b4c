-- for each tenant
-- Quotas for the tenants that are there already. Each in a transaction of its own: counting holds off the writers of one
-- tenant for as long as it takes to count its chunks, and hundreds of tenants at once would need more locks than
-- PostgreSQL has room for.

SELECT dreamhub.serialize_provisioning();
SELECT dreamhub.provision_tables(current_setting('dreamhub.tenant'));
