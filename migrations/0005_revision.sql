-- How often a person sent the job again by hand.
alter table workflow_job add column revision int not null default 0 check (revision >= 0);
