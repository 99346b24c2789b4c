-- for each tenant
-- The right to enter prompt versions, for the tenants that are there already.

SELECT dreamhub.serialize_provisioning();
SELECT dreamhub.provision_tables(current_setting('dreamhub.tenant'));
