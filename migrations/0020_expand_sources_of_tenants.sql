-- for each tenant
-- The tables of sources for the tenants that are there already, each in a transaction of its own.

SELECT dreamhub.serialize_provisioning();
SELECT dreamhub.provision_tables(current_setting('dreamhub.tenant'));
