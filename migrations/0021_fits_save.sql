-- The save of its workflow that a CronJob was last seen to fit, so that the API need not guess whether it has one that was
-- made a moment ago. Null in rows of a version before.
alter table workflow_cron_job add column fits_save timestamptz;
