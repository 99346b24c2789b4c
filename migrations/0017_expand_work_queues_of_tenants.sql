-- for each tenant
-- The tables of the work queue for the tenants that are there already.

SELECT dreamhub.serialize_provisioning();
SELECT dreamhub.provision_tables(current_setting('dreamhub.tenant'));
